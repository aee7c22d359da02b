"""Output as it comes: told live in small pieces, kept up to a limit, never a flood in memory."""

from collections.abc import Callable

from potluck.sandbox.outcome import Tell

PIECE_CHARS = 4_000
TOLD_CHARS = 64_000
_TAIL_SHARE = 10


class Output:
    """Collects text: the beginning and the end are kept, the middle of a flood is counted.

    `tell` gets what is new at each `flush`, until TOLD_CHARS have been told.
    """

    def __init__(self, kept_chars: int, tell: Tell | None = None) -> None:
        self.seen_chars = 0
        self._tail_chars = kept_chars // _TAIL_SHARE
        self._head_room = kept_chars - self._tail_chars
        self._head: list[str] = []
        self._tail: list[str] = []
        self._tail_size = 0
        self._dropped = 0
        self._tell = tell
        self._untold: list[str] = []
        self._told_room = TOLD_CHARS if tell else 0

    def add(self, text: str) -> None:
        """Take in more output."""
        self.seen_chars += len(text)
        self._keep_untold(text)
        if self._head_room:
            self._head.append(text[: self._head_room])
            text = text[self._head_room :]
            self._head_room -= len(self._head[-1])
        if text:
            self._keep_tail(text)

    def notice(self, size: int) -> None:
        """Count what came along with the text, so that a flood of nothing is a flood, too."""
        self.seen_chars += size

    def flush(self) -> None:
        """Tell what has not been told yet."""
        text = "".join(self._untold)
        self._untold.clear()
        for start in range(0, len(text), PIECE_CHARS):
            _told(self._tell, text[start : start + PIECE_CHARS])
        if text and not self._told_room:
            _told(self._tell, "\n[more output is not shown live]\n")
            self._told_room = -1

    @property
    def lost_chars(self) -> int:
        """How much of the middle is gone."""
        return self._dropped + max(0, self._tail_size - self._tail_chars)

    @property
    def text(self) -> str:
        """What is kept, with a mark where something is missing."""
        tail = "".join(self._tail)[-self._tail_chars :] if self._tail else ""
        lost = self.lost_chars
        mark = f"\n[cut: {lost:,} characters are not kept]\n" if lost else ""
        return "".join(self._head) + mark + tail

    def _keep_untold(self, text: str) -> None:
        if self._told_room > 0:
            piece = text[: self._told_room]
            self._untold.append(piece)
            self._told_room -= len(piece)

    def _keep_tail(self, text: str) -> None:
        self._tail.append(text)
        self._tail_size += len(text)
        if self._tail_size > 2 * self._tail_chars:
            kept = "".join(self._tail)[-self._tail_chars :] if self._tail_chars else ""
            self._dropped += self._tail_size - len(kept)
            self._tail, self._tail_size = [kept], len(kept)


def _told(tell: Callable[[str], None] | None, text: str) -> None:
    if tell is not None:
        tell(text)
