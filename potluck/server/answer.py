"""The answer of a turn, as text that comes piece by piece."""

from collections.abc import Sequence
from dataclasses import dataclass

from potluck.server.turn import Begun, Missed, Part, Piece, Values, Wire, text_of

ANEW = "\n\n---\n\n*The answer was cut off here, and begins anew:*\n\n"
_NOTHING: Wire = {}


@dataclass(slots=True)
class _Message:
    """One message of the answer: what has come of it, and of that what is out."""

    text: str = ""
    out: str = ""
    repeats: str | None = None
    """What is out of an earlier message that this one writes again, while it agrees with it."""


class Answer:
    """The answer of one turn, gathered from its parts: each text comes out exactly once.

    In one that goes on with an earlier one (`is_resumed`), what had been said before is no news.
    A run that another server has taken over writes its unfinished message again: of that comes
    only what is not out, or, after `ANEW`, all of it when it differs. Where events were missed,
    the rest comes from the state.
    """

    def __init__(self, *, is_resumed: bool = False) -> None:
        self._messages: dict[str, _Message] = {}
        self._current = ""
        self._unsettled: list[str] = []
        self._again: list[str] = []
        self._is_deaf = False
        self._last: Wire | None = None
        self._knows_start = not is_resumed
        self._old = _NOTHING
        self.is_anew = False

    def take(self, part: Part) -> str:
        """The text that this part adds to the answer."""
        match part:
            case Values():
                return self._settle(part.messages)
            case Begun():
                self._begin_again()
            case Missed():
                self._is_deaf = True
            case Piece() if part.for_user and part.text:
                return self._hear(part.id, part.text)
        return ""

    def rest(self) -> str:
        """What the state's last message says but is not out: a fixed, cached or cut text."""
        if self._last is None or self._last.get("id") == self._old.get("id", _NOTHING):
            return ""
        message_id, text = str(self._last.get("id") or ""), text_of(self._last)
        known = self._messages.get(message_id)
        if known is not None and known.repeats is None and not self._is_deaf:
            return ""
        return self._complete(message_id, text)

    def _settle(self, messages: Sequence[Wire]) -> str:
        """Take in the state after a step: all that was written until then is in it."""
        self._last = _last_said(messages)
        if not self._knows_start:
            self._knows_start = True
            self._old = self._last or _NOTHING
        added = ""
        if self._is_deaf:
            texts = {str(one.get("id") or ""): text_of(one) for one in messages}
            missed = [one for one in self._unsettled if texts.get(one)]
            added = "".join(self._complete(one, texts[one]) for one in missed)
            self._again += [one for one in self._unsettled[-1:] if one not in texts]
            self._is_deaf = False
        ids = {one.get("id") for one in messages}
        self._again = [one for one in self._again if one not in ids]
        self._unsettled = []
        return added

    def _begin_again(self) -> None:
        """From here on the run writes again what was in no state yet."""
        self._again += [one for one in self._unsettled if self._messages[one].out]
        self._unsettled = []

    def _hear(self, message_id: str, piece: str) -> str:
        message = self._messages.get(message_id)
        before = ""
        if message is None:
            before = self._end_repeat()
            message = self._begin(message_id)
        if message_id not in self._unsettled:
            self._unsettled.append(message_id)
        message.text += piece
        if self._is_deaf:
            # A word may be missing before it
            return before
        return before + self._say(message_id, message)

    def _say(self, message_id: str, message: _Message) -> str:
        """What of the message may go out now."""
        if message.repeats is None:
            new = message.text[len(message.out) :]
            message.out = message.text
            return self._gap(message_id) + new
        if message.repeats.startswith(message.text):
            return ""
        return self._part_from(message_id, message, message.text)

    def _part_from(self, message_id: str, message: _Message, text: str) -> str:
        """The first words that are not out already; all of them where what is out is another's."""
        repeated, message.repeats = message.repeats or "", None
        message.text = message.out = text
        if text.startswith(repeated) and not self._again:
            self._current = message_id
            return text[len(repeated) :]
        self._again, self._current, self.is_anew = [], message_id, True
        return ANEW + text

    def _end_repeat(self) -> str:
        """What is to be said when a message that repeats another has ended."""
        for message_id, message in self._messages.items():
            if message.repeats == message.text:
                message.repeats, message.out = None, message.text
                self._current = message_id
            elif message.repeats is not None:
                return self._part_from(message_id, message, message.text)
        return ""

    def _complete(self, message_id: str, text: str) -> str:
        """What is not out yet of a message that is whole."""
        added = ""
        message = self._messages.get(message_id)
        if message is None:
            added = self._end_repeat()
            if not text.strip() or self._is_out(text):
                return added
            message = self._begin(message_id)
        shown = message.out if message.repeats is None else message.repeats
        if shown.strip() == text.strip() or (shown and self._ends_with(text)):
            message.repeats, message.text, message.out = None, text, text
            return added
        if shown:
            message.repeats = shown
            return added + self._part_from(message_id, message, text)
        message.text = message.out = text
        return added + self._gap(message_id) + text

    def _begin(self, message_id: str) -> _Message:
        message = self._messages[message_id] = _Message()
        if self._again:
            message.repeats = self._messages[self._again.pop(0)].out
        return message

    def _is_out(self, text: str) -> bool:
        return text.strip() in {one.out.strip() for one in self._messages.values()}

    def _ends_with(self, text: str) -> bool:
        """Whether the text, which may be that of several messages, is what is out at the end."""
        outs = (one.out.strip() for one in self._messages.values())
        return "\n\n".join(out for out in outs if out).endswith(text.strip())

    def _gap(self, message_id: str) -> str:
        is_other = bool(self._current) and message_id != self._current
        self._current = message_id
        return "\n\n" if is_other else ""


def _last_said(messages: Sequence[Wire]) -> Wire | None:
    """The last words of a model since the user's last message, or None."""
    for message in reversed(messages):
        if message.get("type") == "human":
            return None
        if message.get("type") == "ai":
            return message
    return None
