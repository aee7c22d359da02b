"""The answer of a turn, as text that comes piece by piece."""

from collections.abc import Sequence

from potluck.server.turn import Part, Piece, Values, Wire, text_of

_NOTHING: Wire = {}


class Answer:
    """The answer of one turn, gathered from its parts: each text comes out exactly once.

    In one that goes on with an earlier one (`is_resumed`), what had been said before is no news.
    """

    def __init__(self, *, is_resumed: bool = False) -> None:
        self._streamed: dict[str, str] = {}
        self._current = ""
        self._last: Wire | None = None
        self._knows_start = not is_resumed
        self._old = _NOTHING

    def take(self, part: Part) -> str:
        """The text that this part adds to the answer."""
        if isinstance(part, Values):
            self._last = _last_said(part.messages)
            if not self._knows_start:
                self._knows_start = True
                self._old = self._last or _NOTHING
        if not isinstance(part, Piece) or not part.for_user or not part.text:
            return ""
        return self._add(part.id, part.text)

    def rest(self) -> str:
        """What the state's last message says but nobody streamed: a fixed or cached text."""
        if self._last is None or self._last.get("id") in self._streamed:
            return ""
        if self._last.get("id") == self._old.get("id", _NOTHING):
            return ""
        text = text_of(self._last)
        if not text.strip() or text.strip() in {said.strip() for said in self._streamed.values()}:
            return ""
        return self._add(str(self._last.get("id") or ""), text)

    def _add(self, message_id: str, text: str) -> str:
        gap = "\n\n" if self._streamed and message_id != self._current else ""
        self._current = message_id
        self._streamed[message_id] = self._streamed.get(message_id, "") + text
        return gap + text


def _last_said(messages: Sequence[Wire]) -> Wire | None:
    """The last words of a model since the user's last message, or None."""
    for message in reversed(messages):
        if message.get("type") == "human":
            return None
        if message.get("type") == "ai":
            return message
    return None
