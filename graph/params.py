"""How a caller wants a run to answer: parameters in OpenAI's words, and the caller's tools."""

import json
from typing import Annotated, Literal, Never, NotRequired, TypedDict
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jsonschema_rs
from pydantic import AfterValidator, Field, JsonValue, StringConstraints

MAX_CLIENT_TOOLS = 128
MAX_CLIENT_TOOLS_BYTES = 128 * 1024
MAX_SCHEMA_BYTES = 64 * 1024

Json = dict[str, JsonValue]


def checked_zone(name: str) -> str:
    """The name of a time zone itself. Raises ValueError when there is none of that name."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name[:60]!r}; one is Asia/Tokyo") from error


TimeZone = Annotated[str, AfterValidator(checked_zone)]


def checked_schema(schema: Json) -> Json:
    """The JSON schema itself. Raises ValueError that says why it is none."""
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise ValueError(f"the JSON schema is larger than {MAX_SCHEMA_BYTES:,} bytes")
    try:
        # A reference out of it is not followed: that would be fetching it from here.
        jsonschema_rs.validator_for(schema, retriever=_refuse_reference)
    except (ValueError, RecursionError) as error:
        first = next(iter(str(error).splitlines()), "it cannot be read")
        raise ValueError(f"this is no JSON schema: {first.rstrip('.')}") from error
    return schema


def _refuse_reference(uri: str) -> Never:
    raise ValueError(f"it refers to {uri!r}, which is no part of it")


class JsonSchemaForm(TypedDict):
    """A JSON schema, by its name."""

    schema: Annotated[Json, AfterValidator(checked_schema)]
    name: NotRequired[str]
    description: NotRequired[str]
    strict: NotRequired[bool | None]


class AnswerForm(TypedDict):
    """OpenAI's `response_format`: text, any JSON object, or JSON of a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NotRequired[JsonSchemaForm]


def _checked_form(form: AnswerForm) -> AnswerForm:
    if form["type"] == "json_schema" and "json_schema" not in form:
        raise ValueError("`json_schema` is missing")
    return form


class Params(TypedDict, total=False):
    """How models are to answer.

    What says how words are chosen goes to every call of a run; the rest is for its answer alone.
    """

    temperature: Annotated[float, Field(ge=0, le=2)]
    top_p: Annotated[float, Field(ge=0, le=1)]
    seed: int
    max_tokens: Annotated[int, Field(ge=1)]
    """The answer is cut after about so many tokens."""
    stop: Annotated[
        list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1, max_length=4)
    ]
    """The answer ends before the first of these."""
    response_format: Annotated[AnswerForm, AfterValidator(_checked_form)]
    parallel_tool_calls: bool
    """False: one call of the client's tools at a time."""


class ClientFunction(TypedDict):
    """A function of the client's; `parameters` is a JSON schema."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")]
    description: NotRequired[str]
    parameters: NotRequired[Json]
    strict: NotRequired[bool]


class ClientTool(TypedDict):
    """A tool that the client runs."""

    type: Literal["function"]
    function: ClientFunction


def checked_tools(tools: list[ClientTool]) -> list[ClientTool]:
    """The tools themselves. Raises ValueError when they are too large, or two have one name."""
    if len(json.dumps(tools)) > MAX_CLIENT_TOOLS_BYTES:
        raise ValueError(f"the tools are larger than {MAX_CLIENT_TOOLS_BYTES:,} bytes together")
    names = [tool["function"]["name"] for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two tools are called {twice!r}")
    return tools


ClientTools = Annotated[
    list[ClientTool], Field(max_length=MAX_CLIENT_TOOLS), AfterValidator(checked_tools)
]
