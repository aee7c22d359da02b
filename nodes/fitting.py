"""A conversation made to fit a model by rule: old results cleared, then the oldest turns cut."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from nodes.sizes import tokens_in, tokens_of
from nodes.turns import Turn, files_in, turns_of

# Of results this long at most, clearing would save next to nothing
KEPT_RESULT_CHARS = 400
CLEARED = "[cleared to save room: a result of {chars:,} characters{where}]"
KEPT_IN = "; all of it is in {path}, read it with read_file"
# Marks the message that stands for the beginning of the conversation
RECAP = "recap"
RECAP_PROMPT = """\
[The conversation so far, in short. It is a record, not a request.]
{text}
[End of the record]"""

_DIGEST_SHARE = 0.2
_SAID_CHARS = 240
_MOST_FILES = 30
_TEXT_CAPS = (8_000, 4_000, 2_000, 1_000, 500)
_CUT = "\n[cut: {count:,} characters left out here]\n"

type Places = Callable[[ToolMessage], str | None]
"""Where the whole of a result is, or will be; None when nowhere."""


def fitted(messages: Sequence[BaseMessage], room: int, places: Places) -> list[BaseMessage]:
    """The conversation in about `room` tokens; longer where only the last request is left to cut.

    Instructions and what the user said last stay as they are; a call stays with its result.
    """
    if tokens_in(messages) <= room:
        return list(messages)
    head = [message for message in messages if isinstance(message, SystemMessage)]
    rest = [message for message in messages if not isinstance(message, SystemMessage)]
    left = room - tokens_in(head)
    for shorten in (_without_results, _without_turns, _without_length):
        rest = shorten(rest, left, places)
        if tokens_in(rest) <= left:
            break
    return [*head, *rest]


def recap_message(text: str) -> HumanMessage:
    """The beginning of a conversation in short."""
    return HumanMessage(RECAP_PROMPT.format(text=text), additional_kwargs={RECAP: True})


def is_recap(message: BaseMessage) -> bool:
    """Whether the message stands for the beginning of the conversation."""
    return bool(message.additional_kwargs.get(RECAP))


def cleared(message: ToolMessage, places: Places) -> ToolMessage:
    """A note in place of the result, which says where the whole is."""
    path = places(message)
    note = CLEARED.format(
        chars=len(str(message.text)), where=KEPT_IN.format(path=path) if path else ""
    )
    return message.model_copy(update={"content": note, "artifact": None})


def may_be_cleared(message: BaseMessage) -> bool:
    """Whether the message is a result that is worth clearing."""
    return isinstance(message, ToolMessage) and len(str(message.text)) > KEPT_RESULT_CHARS


def cut_text(text: str, most_chars: int) -> str:
    """Beginning and end of a text, with a note of how much is left out between."""
    if len(text) <= most_chars:
        return text
    half = most_chars // 2
    return text[:half] + _CUT.format(count=len(text) - 2 * half) + text[len(text) - half :]


def _without_results(rest: list[BaseMessage], room: int, places: Places) -> list[BaseMessage]:
    """Results cleared, the oldest first; those that no answer has been built on yet stay."""
    last_answer = max((n for n, m in enumerate(rest) if isinstance(m, AIMessage)), default=0)
    made = list(rest)
    size = tokens_in(made)
    for number, message in enumerate(rest[:last_answer]):
        if size <= room:
            break
        if isinstance(message, ToolMessage) and may_be_cleared(message):
            made[number] = cleared(message, places)
            size += tokens_of(made[number]) - tokens_of(message)
    return made


def _without_turns(rest: list[BaseMessage], room: int, _: Places) -> list[BaseMessage]:
    """The newest turns that fit, behind a digest of those that do not."""
    recaps = [message for message in rest if is_recap(message)]
    *older, last = turns_of([message for message in rest if not is_recap(message)]) or [[]]
    most = int(room * _DIGEST_SHARE)
    left = room - most - tokens_in(last) - tokens_in(recaps)
    kept: list[Turn] = [last]
    while older and (size := tokens_in(older[-1])) <= left:
        left -= size
        kept.insert(0, older.pop())
    gone = [message for turn in older for message in turn]
    digest = [recap_message(digest_of(gone, most))] if gone else []
    return [*recaps, *digest, *(message for turn in kept for message in turn)]


def digest_of(messages: Sequence[BaseMessage], most_tokens: int) -> str:
    """What the user said, in the user's own words, and the files that were named: by rule."""
    files = files_in(messages)[-_MOST_FILES:]
    lines = [f"Files: {', '.join(files)}"] if files else []
    left = most_tokens - tokens_of(recap_message("\n".join(lines)))
    said: list[str] = []
    for message in reversed(messages):
        if not isinstance(message, HumanMessage) or not str(message.text).strip():
            continue
        line = f"- {cut_text(' '.join(str(message.text).split()), _SAID_CHARS)}"
        left -= tokens_of(HumanMessage(line))
        if left < 0:
            break
        said.insert(0, line)
    return "\n".join([*lines, *(["The user said:", *said] if said else [])])


def _without_length(rest: list[BaseMessage], room: int, places: Places) -> list[BaseMessage]:
    """Long texts cut in the middle, but never what the user said last."""
    last_said = max((n for n, m in enumerate(rest) if isinstance(m, HumanMessage)), default=-1)
    made = rest
    for most_chars in _TEXT_CAPS:
        made = [
            message if number == last_said else _cut(message, most_chars, places)
            for number, message in enumerate(rest)
        ]
        if tokens_in(made) <= room:
            break
    return made


def _cut(message: BaseMessage, most_chars: int, places: Places) -> BaseMessage:
    text = str(message.text)
    update: dict[str, Any] = {}  # Any: what pydantic's copy takes
    if len(text) > most_chars:
        path = places(message) if isinstance(message, ToolMessage) else None
        where = f"\n[{KEPT_IN.format(path=path).removeprefix('; ')}]" if path else ""
        update["content"] = cut_text(text, most_chars) + where
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = [{**call, "args": _short(call["args"], most_chars)} for call in message.tool_calls]
        if calls != message.tool_calls:
            update["tool_calls"] = calls
    return message.model_copy(update=update) if update else message


def _short(args: dict[str, Any], most_chars: int) -> dict[str, Any]:  # Any: as models write them
    return {
        key: cut_text(value, most_chars) if isinstance(value, str) else value
        for key, value in args.items()
    }
