"""A request for a response as the chat completion request that asks for the same."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydantic import ValidationError

from potluck.server.openai import request as chat
from potluck.server.openai.checks import check
from potluck.server.openai.errors import ApiError, from_validation
from potluck.server.openai.responses.items import (
    CallItem,
    CallOutput,
    Content,
    ImagePart,
    Item,
    Message,
    RefusalPart,
    TextPart,
)
from potluck.server.openai.responses.request import (
    AllowedTools,
    FunctionChoice,
    ResponsesRequest,
    TextFormat,
)

# Names of parameters that the two forms call differently
_NAMES = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}


def chat_request(
    asked: ResponsesRequest, history: Sequence[Item], new: Sequence[Item]
) -> chat.ChatRequest:
    """The same request: what is new in it after what was said before. Raises ApiError (400)."""
    items = [*history, *new]
    _check_pairs(items, first_new=len(history))
    said = messages_of(items)
    if asked.instructions:
        said = [chat.SystemMessage(role="system", content=asked.instructions), *said]
    try:
        made = chat.ChatRequest.model_validate(
            {
                "model": asked.model,
                "messages": said,
                "stream": asked.stream,
                "metadata": asked.metadata,
                "temperature": asked.temperature,
                "top_p": asked.top_p,
                "max_completion_tokens": asked.max_output_tokens,
                "response_format": _response_format(asked),
                "reasoning_effort": asked.reasoning.effort if asked.reasoning else None,
                "tools": [_tool(tool) for tool in asked.functions] or None,
                "tool_choice": _tool_choice(asked),
                "parallel_tool_calls": asked.parallel_tool_calls,
                "top_logprobs": asked.top_logprobs,
                "user": asked.user or asked.safety_identifier,
            }
        )
        check(made)
    except ValidationError as error:
        raise renamed(from_validation(error)) from error
    except ApiError as error:
        raise renamed(error) from error
    return made


def renamed(error: ApiError) -> ApiError:
    """The same error, its parameter called as in this form of request."""
    if error.param is None:
        return error
    head = error.param.split("[")[0].split(".")[0]
    if head not in _NAMES:
        return error
    message = error.message.replace(f"`{error.param}`", f"`{_NAMES[head]}`")
    return replace(error, message=message, param=_NAMES[head])


def messages_of(items: Iterable[Item]) -> list[chat.Message]:
    """The items as messages: what an assistant said and called at one time is one of them."""
    made: list[chat.Message] = []
    for item in items:
        if isinstance(item, CallOutput):
            output = _text(item.output)
            made.append(chat.ToolMessage(role="tool", content=output, tool_call_id=item.call_id))
        elif isinstance(item, CallItem):
            function = chat.FunctionCall(name=item.name, arguments=item.arguments)
            _add_call(made, chat.ToolCall(id=item.call_id, function=function))
        elif isinstance(item, Message):
            _add_message(made, item)
    return made


def _add_message(made: list[chat.Message], item: Message) -> None:
    if item.role == "user":
        made.append(chat.UserMessage(role="user", content=_user_content(item.content)))
        return
    text = _text(item.content)
    if item.role != "assistant":
        made.append(chat.SystemMessage(role=item.role, content=text))
        return
    last = made[-1] if made else None
    if isinstance(last, chat.AssistantMessage) and not last.tool_calls:
        made[-1] = chat.AssistantMessage(
            role="assistant", content=_joined(chat.text_in(last.content), text)
        )
    else:
        made.append(chat.AssistantMessage(role="assistant", content=text))


def _add_call(made: list[chat.Message], call: chat.ToolCall) -> None:
    last = made[-1] if made else None
    if isinstance(last, chat.AssistantMessage):
        calls = [*(last.tool_calls or []), call]
        made[-1] = last.model_copy(update={"tool_calls": calls})
    else:
        made.append(chat.AssistantMessage(role="assistant", tool_calls=[call]))


def _joined(first: str, second: str) -> str:
    """Two messages of one answer; ours carry the space between them."""
    is_apart = not first or first[-1].isspace() or not second or second[0].isspace()
    return f"{first}{second}" if is_apart else f"{first}\n\n{second}"


def _user_content(content: Content) -> str | list[chat.TextPart | chat.ImagePart]:
    if isinstance(content, str):
        return content
    if not any(isinstance(part, ImagePart) for part in content):
        return _text(content)
    made: list[chat.TextPart | chat.ImagePart] = []
    for part in content:
        if isinstance(part, ImagePart):
            detail = "high" if part.detail == "original" else part.detail
            url = chat.ImageUrl(url=part.image_url or "", detail=detail)
            made.append(chat.ImagePart(type="image_url", image_url=url))
        else:
            made.append(chat.TextPart(type="text", text=_text_in(part)))
    return made


def _text(content: Content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_text_in(part) for part in content)


def _text_in(part: TextPart | RefusalPart | ImagePart) -> str:
    if isinstance(part, RefusalPart):
        return part.refusal
    return part.text if isinstance(part, TextPart) else "[an image]"


def _check_pairs(items: Sequence[Item], *, first_new: int) -> None:
    """Every output belongs to a call before it, and every call has its output."""
    open_calls: dict[str, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, CallOutput):
            if open_calls.pop(item.call_id, None) is None:
                raise _unpaired(
                    f"No tool call found for function call output with call_id {item.call_id}.",
                    place - first_new,
                )
        elif isinstance(item, CallItem):
            open_calls[item.call_id] = place
        elif isinstance(item, Message):
            _refuse_open(open_calls, first_new)
    _refuse_open(open_calls, first_new)


def _refuse_open(open_calls: dict[str, int], first_new: int) -> None:
    for call_id, place in open_calls.items():
        raise _unpaired(f"No tool output found for function call {call_id}.", place - first_new)


def _unpaired(message: str, place: int) -> ApiError:
    # A place before the request's own items is in what was kept.
    param = f"input[{place}].call_id" if place >= 0 else "input"
    return ApiError(message, param=param, code="invalid_value")


def _response_format(asked: ResponsesRequest) -> dict[str, object] | None:
    form = asked.text.format if asked.text else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": _schema_of(form)}


def _schema_of(form: TextFormat) -> dict[str, object]:
    given: dict[str, object] = dict(form.model_extra or {})
    wanted = ("description", "schema", "strict")
    kept = {key: value for key, value in given.items() if key in wanted}
    return {"name": given.get("name") or "answer", **kept}


def _tool(tool: chat.ToolFunction) -> dict[str, object]:
    return {"type": "function", "function": tool.model_dump(exclude={"type"}, exclude_none=True)}


def _tool_choice(asked: ResponsesRequest) -> object:
    choice = asked.tool_choice
    if isinstance(choice, FunctionChoice):
        return {"type": "function", "function": {"name": choice.name}}
    if isinstance(choice, AllowedTools):
        return choice.mode if asked.functions else None
    return choice if isinstance(choice, str) else None
