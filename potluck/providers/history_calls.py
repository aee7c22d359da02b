"""Tool calls and their results: each call with an id of its own and one result behind it."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import json_repair
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    InvalidToolCall,
    ToolCall,
    ToolMessage,
)

from potluck.providers.history_content import flat_text
from potluck.providers.json_values import finite

UNFINISHED = "No result: the call was never finished."
UNREADABLE = "Not run: its arguments could not be read: {args}"
NOTHING = "(no output)"
_SHOWN_CHARS = 500

# Mistral takes no other ids; all others take these too
_ID_LENGTH = 9
_ID = re.compile(rf"[a-zA-Z0-9]{{{_ID_LENGTH}}}")
_ID_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
# What OpenAI and Gemini both take
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")


@dataclass(slots=True)
class _Asked:
    """A call as the history will have it, and the result that came for it."""

    call: ToolCall
    missing: str = UNFINISHED
    result: ToolMessage | FunctionMessage | None = None

    def message(self) -> ToolMessage:
        text = flat_text(self.result.content) if self.result else self.missing
        return ToolMessage(
            text or NOTHING,
            tool_call_id=self.call["id"] or "",
            name=self.call["name"],
            id=self.result.id if self.result else None,
            status=getattr(self.result, "status", "success") if self.result else "error",
        )


@dataclass(slots=True)
class Pairing:
    """Takes the messages of a history in order; gives them back with calls and results paired.

    A call without a result gets one that says so, a result without a call gets the call, a second
    result is dropped. Ids are those of before where they will do, else made from them.
    """

    _said: list[BaseMessage | _Asked] = field(default_factory=list)
    _waiting: dict[str, list[_Asked]] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def add(self, message: BaseMessage) -> None:
        """Take what is neither an answer nor a result."""
        self._said.append(message)

    def add_answer(self, text: str, message: AIMessage) -> None:
        """Take an answer whose text is this, with the calls of the message."""
        asked = [_Asked(self._readable(call)) for call in message.tool_calls]
        asked += [self._guessed(call) for call in message.invalid_tool_calls]
        if not text and not asked:
            return
        calls = [one.call for one in asked]
        self._said.append(AIMessage(text, tool_calls=calls, id=message.id))
        ids = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
        self._expect(ids, asked)

    def add_unchanged(self, message: AIMessage) -> bool:
        """Take the answer as it is. False when its calls will not do as they are."""
        ids = [call["id"] or "" for call in message.tool_calls]
        if message.invalid_tool_calls or "" in ids or len({*ids} - self._used) < len(ids):
            return False
        if not all(_NAME.fullmatch(call["name"]) for call in message.tool_calls):
            return False
        self._used.update(ids)
        self._said.append(message)
        self._expect(ids, [_Asked(call) for call in message.tool_calls])
        return True

    def add_result(self, message: ToolMessage | FunctionMessage) -> None:
        """Take a result, wherever it stands."""
        call_id = (
            message.tool_call_id if isinstance(message, ToolMessage) else f"function {message.name}"
        )
        if call_id not in self._waiting:
            call = ToolCall(name=message.name or "tool", args={}, id=call_id)
            self.add_answer("", AIMessage("", tool_calls=[call]))
        open_ones = [one for one in self._waiting[call_id] if one.result is None]
        if open_ones:
            open_ones[0].result = message

    def messages(self) -> Iterator[BaseMessage]:
        """The history, each result right behind its call."""
        return (one.message() if isinstance(one, _Asked) else one for one in self._said)

    def _expect(self, ids: Sequence[str | None], asked: Sequence[_Asked]) -> None:
        self._said += asked
        fresh: dict[str, list[_Asked]] = {}
        for call_id, one in zip(ids, asked, strict=True):
            fresh.setdefault(call_id or "", []).append(one)
        self._waiting |= fresh

    def _readable(self, call: ToolCall) -> ToolCall:
        args = finite(call["args"])
        return ToolCall(
            name=_name(call["name"]),
            args=args if isinstance(args, dict) else {},
            id=self._fresh_id(call["id"] or ""),
            type="tool_call",
        )

    def _guessed(self, call: InvalidToolCall) -> _Asked:
        raw = call["args"] or ""
        readable = ToolCall(name=call["name"] or "", args=_guessed_args(raw), id=call["id"])
        shown = json.dumps(raw[:_SHOWN_CHARS], ensure_ascii=False)
        return _Asked(self._readable(readable), UNREADABLE.format(args=shown))

    def _fresh_id(self, call_id: str) -> str:
        """The id if it will do, else the first free one of those made from it."""
        made = (_digest(f"{call_id} {number}") for number in count())
        wanted = call_id if _ID.fullmatch(call_id) else next(made)
        while wanted in self._used:
            wanted = next(made)
        self._used.add(wanted)
        return wanted


def _guessed_args(raw: str) -> dict[str, object]:
    try:
        args = json_repair.loads(raw)
    except RecursionError:
        return {}
    return args if isinstance(args, dict) else {}


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return "".join(_ID_ALPHABET[byte % len(_ID_ALPHABET)] for byte in digest[:_ID_LENGTH])


def _name(name: str) -> str:
    """The tool's name as every API takes it."""
    if _NAME.fullmatch(name):
        return name
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    return (plain if re.match(r"[a-zA-Z_]", plain) else f"_{plain}")[:64]
