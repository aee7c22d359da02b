"""Makes a history that any provider's class has produced acceptable to the next provider."""

import json
from collections.abc import Iterable, Sequence

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from potluck.providers import history_content as content
from potluck.providers.answers import DIALECT_KEY, is_answer
from potluck.providers.catalog import Api, Model
from potluck.providers.dialects import MARKS
from potluck.providers.history_calls import Pairing
from potluck.providers.json_values import quoted

# What stands where a provider wants somebody to have spoken
BEGIN = "Please begin."
GO_ON = "Please go on."
NOTED = "Noted."

_ROLES: dict[str, type[HumanMessage | AIMessage | SystemMessage]] = {
    "system": SystemMessage,
    "developer": SystemMessage,
    "assistant": AIMessage,
    "ai": AIMessage,
    "model": AIMessage,
}


def repaired(messages: Sequence[BaseMessage], *, api: Api, model: Model) -> list[BaseMessage]:
    """The same conversation in the strictest form that any provider demands; `[]` stays empty.

    One system message in front; then people and the model speak in turns, a person first and
    last (a tool's result counts as a person's word); no message is empty; every tool call has a
    valid id of its own and one result right behind it. What other models thought is left out, and
    images and files that `model` cannot see are replaced by a note. Answers that this very model
    gave stay as they are, with its signatures. Repairing twice changes nothing.
    """
    plain = [_with_known_role(message) for message in messages]
    system = [one for one in plain if isinstance(one, SystemMessage)]
    pairing = Pairing()
    for message in plain:
        _take(message, pairing, api=api, model=model)
    paired = pairing.messages()
    if "tools" not in model.capabilities:
        paired = map(_told, paired)
    elif api == "gemini":
        # Its class reads JSON in results
        paired = map(_quoted, paired)
    return [*_one_system_message(system), *_in_turns(paired)] if messages else []


def _with_known_role(message: BaseMessage) -> BaseMessage:
    if not isinstance(message, ChatMessage):
        return message
    return _ROLES.get(message.role, HumanMessage)(message.content, name=message.name, id=message.id)


def _one_system_message(messages: Sequence[SystemMessage]) -> list[SystemMessage]:
    texts = [content.flat_text(message.content) for message in messages]
    text = "\n\n".join(text for text in texts if text)
    return [SystemMessage(text, id=messages[0].id)] if text else []


def _take(message: BaseMessage, pairing: Pairing, *, api: Api, model: Model) -> None:
    match message:
        case AIMessage():
            if not (_is_own(message, api, model) and pairing.add_unchanged(message)):
                pairing.add_answer(content.flat_text(message.content), message)
        case ToolMessage() | FunctionMessage():
            pairing.add_result(message)
        case HumanMessage():
            parts = content.parts(message.content, content.Sight.of(model, api))
            name = message.name or message.additional_kwargs.get("name")
            if parts:
                parts = content.introduce(str(name), parts) if name else parts
                pairing.add(HumanMessage(parts, id=message.id))


def _is_own(message: AIMessage, api: Api, model: Model) -> bool:
    """Whether this model gave the answer, in this form: others' signatures it would refuse."""
    marks = message.response_metadata
    if marks.get("output_version") is not None:
        return False
    made_by = (marks.get("model_provider"), marks.get("model_name"), marks.get(DIALECT_KEY))
    return made_by == (model.provider, model.id, MARKS[api]) and is_answer(message)


def _quoted(message: BaseMessage) -> BaseMessage:
    if not isinstance(message, ToolMessage):
        return message
    return message.model_copy(update={"content": quoted(str(message.content))})


def _told(message: BaseMessage) -> BaseMessage:
    """Calls and results in words, for a model that knows no tools."""
    if isinstance(message, ToolMessage):
        return HumanMessage(f"[Result of {message.name}]\n{message.content}", id=message.id)
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = (
            f"[Called {call['name']} with {json.dumps(call['args'], ensure_ascii=False)}]"
            for call in message.tool_calls
        )
        return AIMessage("\n".join(filter(None, (message.text, *calls))), id=message.id)
    return message


def _in_turns(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    turns: list[BaseMessage] = []
    for message in messages:
        last = turns[-1] if turns else None
        if last is not None and _same_speaker(last, message):
            turns[-1] = _merged(last, message)
            continue
        if last is None and isinstance(message, AIMessage):
            turns.append(HumanMessage(BEGIN))
        elif isinstance(last, ToolMessage) and isinstance(message, HumanMessage):
            turns.append(AIMessage(NOTED))
        turns.append(message)
    if not turns:
        return [HumanMessage(BEGIN)]
    if isinstance(turns[-1], AIMessage):
        turns.append(HumanMessage(GO_ON))
    return turns


def _same_speaker(first: BaseMessage, second: BaseMessage) -> bool:
    return any(
        isinstance(first, kind) and isinstance(second, kind) for kind in (HumanMessage, AIMessage)
    )


def _merged(first: BaseMessage, second: BaseMessage) -> BaseMessage:
    """Both as one, with everything that the second carries besides its content."""
    # An answer's signatures belong to that answer alone
    said = content.flat_text(first.content) if isinstance(first, AIMessage) else first.content
    return second.model_copy(update={"content": content.join(said, second.content)})
