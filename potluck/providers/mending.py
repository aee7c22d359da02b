"""Makes an answer what was asked for: calls of the offered tools, JSON of the given form."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.tool import ToolCallChunk, tool_call, tool_call_chunk

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Model
from potluck.providers.draft import Gate
from potluck.providers.offer import USE_TOOLS, Offer, shown
from potluck.providers.written_calls import CallGate, find_calls

_CUT = frozenset({"length", "max_tokens"})

CALL_COMPLAINT = """\
Your tool call cannot be used: {faults}.
You gave: {said}
The tools are: {names}. Call the right one again, with correct arguments."""

FORM_COMPLAINT = """\
Your answer is not the JSON that was asked for: {faults}.
Answer again with that JSON and nothing else."""

REFUSED_COMPLAINT = """\
Your last tool call could not be used: {faults}.
Call the tool again with correct arguments, or answer without it."""

NOT_AGAIN = "What you wrote before it has been shown already: do not repeat it."


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A call as the model gave it."""

    name: str
    arguments: object
    id: str | None = None


class WrongAnswerError(ProviderError):
    """An answer that nothing can be done with; `complaint` tells its model what is wrong."""

    def __init__(self, model: Model, complaint: str, *, said: str, faults: str) -> None:
        fault = ProviderFault(ErrorKind.BAD_TOOL_CALL, ErrorScope.REQUEST, faults)
        super().__init__(model.provider, model.id, fault)
        self.complaint = complaint
        self.said = said


class _AllGate:
    """Holds all text: JSON that may have to be mended cannot be shown before its end."""

    def holds(self, text: str) -> bool:
        """Whether this text has to wait."""
        del text
        return True


def gate_for(offer: Offer) -> Gate | None:
    """What must not be shown before it is mended."""
    if offer.json_form is not None:
        return _AllGate()
    return CallGate(forced=offer.forced is not None) if offer.tools else None


def mended[Message: (AIMessage, AIMessageChunk)](
    message: Message, offer: Offer, model: Model, *, reason: str
) -> Message:
    """The message with every call checked and its JSON in form; as it is if nothing was wrong.

    `reason` is why the model stopped. Raises WrongAnswerError.
    """
    cut = reason in _CUT
    if not offer.tools and offer.json_form is None:
        return message
    text, wanted = str(message.text), _given_calls(message)
    if offer.tools and not wanted:
        text, written = find_calls(text, forced=offer.forced)
        wanted = [_Wanted(call.name, call.arguments) for call in written]
    if wanted and offer.tools:
        return _with_calls(message, text, _checked(wanted, offer, model, cut=cut))
    # An answer that was cut short is for the caller to see as it is
    return message if cut or wanted else _in_form(message, offer, model)


def correction(error: ProviderError, shown_text: str) -> list[BaseMessage]:
    """What to tell the model that gave a wrong answer, after `shown_text` of it was shown."""
    if not isinstance(error, WrongAnswerError):
        told = REFUSED_COMPLAINT.format(faults=error.fault.message)
        said = shown_text
    else:
        told = error.complaint
        said = f"{shown_text}\n{error.said}".strip()
    if shown_text:
        told = f"{told}\n{NOT_AGAIN}"
    return [*([AIMessage(said)] if said else []), HumanMessage(told)]


def _given_calls(message: AIMessage) -> list[_Wanted]:
    if isinstance(message, AIMessageChunk) and message.tool_call_chunks:
        raw = message.tool_call_chunks
        return [_Wanted(c["name"] or "", c["args"] or "", c["id"]) for c in raw]
    good = [_Wanted(c["name"], c["args"], c["id"]) for c in message.tool_calls]
    bad = message.invalid_tool_calls
    return good + [_Wanted(c["name"] or "", c["args"] or "", c["id"]) for c in bad]


def _checked(wanted: Sequence[_Wanted], offer: Offer, model: Model, *, cut: bool) -> list[_Wanted]:
    calls, faults = [], []
    for call in wanted:
        name = offer.name_of(call.name)
        if name is None and offer.has_more(call.name):
            # Whoever calls a tool that was not shown wants it shown
            calls.append(_Wanted(USE_TOOLS, {"why": call.name}, call.id or _new_id()))
            continue
        if name is None:
            faults.append(f"there is no tool `{call.name}`")
            continue
        try:
            arguments = offer.arguments(name, call.arguments, cut=cut)
        except (ValueError, TypeError) as error:
            faults.append(f"`{name}`: {error}")
        else:
            calls.append(_Wanted(name, arguments, call.id or _new_id()))
    if faults:
        told = "; ".join(faults)
        said = "\n".join(f"{call.name}({shown(call.arguments)})" for call in wanted)
        complaint = CALL_COMPLAINT.format(faults=told, said=said, names=", ".join(offer.tools))
        raise WrongAnswerError(model, complaint, said=said, faults=told)
    return calls


def _new_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def _with_calls[Message: (AIMessage, AIMessageChunk)](
    message: Message, text: str, calls: Sequence[_Wanted]
) -> Message:
    content = message.content if text == str(message.text) else text
    if isinstance(message, AIMessageChunk):
        chunks: list[ToolCallChunk] = [
            tool_call_chunk(
                name=call.name,
                args=json.dumps(call.arguments, ensure_ascii=False),
                id=call.id,
                index=index,
            )
            for index, call in enumerate(calls)
        ]
        return AIMessageChunk(
            content=content,
            additional_kwargs=message.additional_kwargs,
            tool_call_chunks=chunks,
            usage_metadata=message.usage_metadata,
        )
    made = [tool_call(name=c.name, args=_arguments(c), id=c.id) for c in calls]
    update = {"content": content, "tool_calls": made, "invalid_tool_calls": []}
    return message.model_copy(update=update)


def _arguments(call: _Wanted) -> dict[str, object]:
    return call.arguments if isinstance(call.arguments, dict) else {}


def _in_form[Message: (AIMessage, AIMessageChunk)](
    message: Message, offer: Offer, model: Model
) -> Message:
    given = str(message.text)
    try:
        text = offer.text(given, cut=False)
    except (ValueError, TypeError) as error:
        complaint = FORM_COMPLAINT.format(faults=error)
        raise WrongAnswerError(model, complaint, said=given, faults=str(error)) from error
    return message if text == given else message.model_copy(update={"content": text})
