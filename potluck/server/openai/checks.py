"""What pydantic cannot see in a request: which tool result belongs where, what is not offered."""

from collections.abc import Sequence

from graph.params import checked_schema
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import (
    AssistantMessage,
    ChatRequest,
    Message,
    NamedTool,
    ToolMessage,
)


def check(request: ChatRequest) -> None:
    """Raise ApiError (400, with the parameter) for what this door does not do or cannot read."""
    if request.n not in (None, 1):
        raise _unsupported("n", "Only one choice is made for each request: leave `n` out, or 1.")
    if request.logprobs or request.top_logprobs:
        param = "logprobs" if request.logprobs else "top_logprobs"
        raise _unsupported(param, f"`{param}` is not offered: the models' providers differ in it.")
    _check_not_offered(request)
    _check_schema(request)
    thread = (request.metadata or {}).get("thread_id", "")
    if not isinstance(thread, str) or "\x00" in thread:
        raise _invalid("metadata.thread_id", "it must be a text without NUL characters")
    _check_tool_pairs(request.messages)
    _check_tool_choice(request)


def _check_not_offered(request: ChatRequest) -> None:
    kinds = request.modalities
    if request.audio is not None or (isinstance(kinds, list) and "audio" in kinds):
        param = "audio" if request.audio is not None else "modalities"
        raise _unsupported(param, f"`{param}`: answers are text; leave it out, or ask for text.")
    if request.functions:
        raise _unsupported("functions", "`functions` is no longer taken: send `tools` instead.")
    if request.function_call not in (None, "none", "auto"):
        raise _unsupported(
            "function_call", "`function_call` is no longer taken: send `tool_choice` instead."
        )


def _check_schema(request: ChatRequest) -> None:
    form = request.response_format
    schema = (form.json_schema or {}).get("schema") if form else None
    if not isinstance(schema, dict):
        return
    try:
        checked_schema(schema)
    except ValueError as error:
        raise _invalid("response_format.json_schema.schema", str(error)) from error


def _check_tool_pairs(messages: Sequence[Message]) -> None:
    """Every tool result follows the call it answers, and every call is answered at once."""
    open_calls: dict[str, str] = {}
    for number, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            if open_calls.pop(message.tool_call_id, None) is None:
                raise _invalid(
                    f"messages[{number}].tool_call_id",
                    f"{message.tool_call_id!r} answers no open tool call of the assistant message "
                    "before it",
                )
            continue
        _refuse_open(open_calls)
        if isinstance(message, AssistantMessage):
            open_calls = _calls_in(message, number)
    _refuse_open(open_calls)


def _calls_in(message: AssistantMessage, number: int) -> dict[str, str]:
    """Where each call of the message stands, by its id."""
    calls: dict[str, str] = {}
    for place, call in enumerate(message.tool_calls or []):
        where = f"messages[{number}].tool_calls[{place}].id"
        if call.id in calls:
            raise _invalid(where, f"{call.id!r} is used twice in one message")
        calls[call.id] = where
    return calls


def _refuse_open(open_calls: dict[str, str]) -> None:
    for call_id, where in open_calls.items():
        raise _invalid(where, f"no tool message answers the tool call {call_id!r}")


def _check_tool_choice(request: ChatRequest) -> None:
    choice = request.tool_choice
    if choice in (None, "none", "auto"):
        return
    names = {tool.function.name for tool in request.tools or []}
    if not names:
        raise _invalid("tool_choice", "it needs `tools` to choose from")
    if isinstance(choice, NamedTool) and choice.function.name not in names:
        raise _invalid("tool_choice", f"no tool is called {choice.function.name!r}")


def _invalid(param: str, why: str) -> ApiError:
    return ApiError(f"Invalid `{param}`: {why}.", param=param, code="invalid_value")


def _unsupported(param: str, message: str) -> ApiError:
    return ApiError(message, param=param, code="unsupported_value")
