"""Reading and checking a chat completion request as OpenAI does."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from potluck.simulator.dialect import Incoming, Refusal
from potluck.simulator.json_body import json_object, parsed_args, refuse_wrong
from potluck.simulator.openai_history import check_history
from potluck.simulator.request import (
    FormatKind,
    Message,
    ModelRequest,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
)

_PARAMS = (
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n",
    "presence_penalty", "frequency_penalty", "reasoning_effort", "parallel_tool_calls",
)  # fmt: skip
_TOOL_NAME = r"^[a-zA-Z0-9_.:-]{1,64}$"


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Function(_Open):
    name: Annotated[str, Field(pattern=_TOOL_NAME)]
    arguments: str


class _Call(_Open):
    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"] = "function"
    function: _Function


class _Part(_Open):
    type: Literal["text", "image_url", "input_audio", "file", "refusal"]
    text: str | None = None


class _Message(_Open):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Declaration(_Open):
    name: Annotated[str, Field(pattern=_TOOL_NAME)]
    description: str | None = None
    parameters: dict[str, object] | None = None


class _Tool(_Open):
    type: Literal["function"]
    function: _Declaration


class _ChosenFunction(_Open):
    name: str


class _Choice(_Open):
    type: Literal["function"] = "function"
    function: _ChosenFunction


class _Schema(_Open):
    json_schema: Annotated[dict[str, object], Field(alias="schema")] = {}


class _Format(_Open):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None
    # Hugging Face and Together take the schema here
    plain_schema: Annotated[dict[str, object] | None, Field(alias="schema")] = None


class _StreamOptions(_Open):
    include_usage: bool | None = None


class _Body(_Open):
    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[_Message], Field(min_length=1)]
    tools: list[_Tool] | None = None
    tool_choice: Literal["auto", "none", "required", "any"] | _Choice | None = None
    response_format: _Format | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


def parse_chat(incoming: Incoming, *, key: str | None) -> ModelRequest:
    """The request in neutral form. Raises Refusal as OpenAI would."""
    raw = json_object(
        incoming.body,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't "
        "using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was "
        "sent was not valid JSON.)",
    )
    try:
        body = _Body.model_validate(raw)
    except ValidationError as error:
        refuse_wrong(error)
    _check_tools_offered(body)
    check_history(raw["messages"], incoming.profile)
    return ModelRequest(
        provider=incoming.provider,
        model=body.model,
        messages=tuple(_message(message) for message in body.messages),
        tools=tuple(_tool(tool.function) for tool in body.tools or ()),
        tool_choice=_choice(body.tool_choice),
        response_format=_format(body.response_format),
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        params={name: raw[name] for name in _PARAMS if raw.get(name) is not None},
        key=key,
        headers=incoming.headers,
        body=raw,
        size_bytes=len(incoming.body),
    )


def _check_tools_offered(body: _Body) -> None:
    if body.tools is not None and not body.tools:
        raise Refusal(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="tools",
            code="empty_array",
        )
    if body.tools is None and body.tool_choice not in {None, "none"}:
        raise Refusal(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
            "specified.",
            param="tool_choice",
        )


def _message(message: _Message) -> Message:
    text, images = _content(message.content)
    role: Role = "system" if message.role == "developer" else message.role
    calls = tuple(
        ToolCall(
            call.function.name,
            parsed_args(call.function.arguments),
            call.id,
            call.function.arguments,
        )
        for call in message.tool_calls or ()
    )
    return Message(role, text, calls, message.tool_call_id, message.name, images)


def _content(content: str | list[_Part] | None) -> tuple[str, int]:
    if content is None or isinstance(content, str):
        return content or "", 0
    text = "".join(part.text or "" for part in content if part.type == "text")
    return text, sum(part.type == "image_url" for part in content)


def _tool(declared: _Declaration) -> Tool:
    return Tool(declared.name, declared.description or "", declared.parameters or {})


def _choice(choice: str | _Choice | None) -> str:
    if isinstance(choice, _Choice):
        return choice.function.name
    return "required" if choice == "any" else choice or "auto"


def _format(wanted: _Format | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    kind: FormatKind = wanted.type
    nested = wanted.json_schema.json_schema if wanted.json_schema else None
    return ResponseFormat(kind, nested or wanted.plain_schema or {})
