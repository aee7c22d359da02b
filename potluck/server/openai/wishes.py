"""How a caller wants the agent to answer: a request's parameters as the run's context has them."""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers

from graph.params import AnswerForm, ClientTools
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import (
    LEVELS_AROUND,
    ChatRequest,
    NamedTool,
    ResponseFormat,
    holds_huge_number,
)
from potluck.server.stored_text import MAX_DEPTH, unstorable_in
from potluck.server.turn import Wire

TOOLS_HEADER = "x-potluck-client-tools"
# Open WebUI's tool for asking the user: the door uses it itself, to ask for approvals.
ASK_USER = "ask_user"
_TRUE = frozenset({"true", "1", "yes"})
_TOOLS = TypeAdapter[ClientTools](ClientTools)
_FORM = TypeAdapter[AnswerForm](AnswerForm)
_DESCRIPTION = ("name", "description", "schema", "strict")


def wishes_of(request: ChatRequest, headers: Headers) -> Wire:
    """What of a request goes into the context of the agent's run. Raises ApiError."""
    params = _params(request)
    return {
        **({"params": params} if params else {}),
        **(_client_tools(request) if _offers_tools(request, headers) else {}),
    }


def _params(request: ChatRequest) -> dict[str, object]:
    params: dict[str, object | None] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "max_tokens": request.output_limit,
        "stop": request.stops or None,
        "response_format": _form(request.response_format),
        "parallel_tool_calls": request.parallel_tool_calls,
    }
    return {key: value for key, value in params.items() if value is not None}


def _form(given: ResponseFormat | None) -> object:
    if given is None:
        return None
    form: dict[str, object] = {"type": given.type}
    if given.type == "json_schema":
        described = given.json_schema or {}
        form["json_schema"] = {
            key: described[key] for key in _DESCRIPTION if described.get(key) is not None
        }
    return _checked(_FORM, form, "response_format")


def _offers_tools(request: ChatRequest, headers: Headers) -> bool:
    """Whether the caller wants its tools offered: by header, metadata, or choosing among them.

    Many clients send tools with every request that the agent has better ones for.
    """
    if request.tool_choice == "none":
        return False
    said = headers.get(TOOLS_HEADER) or (request.metadata or {}).get("client_tools") or ""
    is_chosen = request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)
    return is_chosen or str(said).strip().lower() in _TRUE


def _client_tools(request: ChatRequest) -> Wire:
    tools = [tool for tool in request.tools or [] if tool.function.name != ASK_USER]
    if not tools:
        return {}
    choice = request.tool_choice
    name = choice.function.name if isinstance(choice, NamedTool) else choice
    dumped = [tool.model_dump(exclude_none=True) for tool in tools]
    return {
        "client_tools": _checked(_TOOLS, dumped, "tools"),
        **({"client_tool_choice": name} if name not in (None, "auto", ASK_USER) else {}),
    }


def _checked(adapter: TypeAdapter[Any], given: object, param: str) -> object:  # Any: two of them
    """What was given, if it can be kept with the run. Raises ApiError."""
    try:
        adapter.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        why = first["msg"].removeprefix("Value error, ")
        raise _invalid(param, f"{place}: {why}" if place else why) from error
    unstorable = unstorable_in(given, MAX_DEPTH - LEVELS_AROUND)
    if unstorable is not None:
        raise _invalid(param, unstorable.rstrip("."))
    if holds_huge_number(given):
        raise _invalid(param, "a whole number in it needs more than 64 bits")
    return given


def _invalid(param: str, why: str) -> ApiError:
    return ApiError(f"Invalid `{param}`: {why}.", param=param, code="invalid_value")
