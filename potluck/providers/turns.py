"""Whose turn it is to answer when a model has failed."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from potluck.errors import ErrorKind, ProviderError
from potluck.providers.link import Link

_MAY_RECOVER = frozenset(
    {ErrorKind.NETWORK, ErrorKind.OVERLOAD, ErrorKind.TIMEOUT, ErrorKind.UNKNOWN}
)


@dataclass(frozen=True, slots=True)
class Turn:
    """A model that is to answer; `complaint` is its own mistake, which it is to be shown.

    `is_last` when nobody comes after it; `again` when it fell while it answered, and gets up.
    """

    link: Link
    is_last: bool
    complaint: ProviderError | None = None
    again: bool = False


class Turns:
    """The links from `place` on: each in its turn, then those again that fell while answering.

    A model whose call was wrong is shown its mistake once.
    """

    def __init__(self, links: Sequence[Link], place: int) -> None:
        self._coming = deque(links[place + 1 :])
        self._fallen: deque[Link] = deque()
        self.current = Turn(links[place], is_last=not self._coming)

    def upcoming(self) -> Turn | None:
        """The turn that would come next, if the current model is well but slow."""
        if not self._coming or self.current.complaint is not None:
            return None
        return Turn(self._coming[0], is_last=len(self._coming) == 1)

    def overtake(self) -> None:
        """The model of the upcoming turn answers in place of the current one."""
        link = self._coming.popleft()
        self.current = Turn(link, is_last=not self._coming)

    def repeat(self) -> bool:
        """The one that spoke last gets one more turn. False when it has had that."""
        if self.current.again:
            return False
        self.current = Turn(self.current.link, is_last=True, again=True)
        return True

    def next(self, failure: ProviderError, *, begun: bool, wrote: bool) -> bool:
        """Go on to the next turn after this failure. False when there is none.

        `begun` when some of the answer is out; until then others are asked by somebody else.
        `wrote` when the model that failed wrote some of it in this turn.
        """
        current = self.current
        if failure.kind is ErrorKind.BAD_TOOL_CALL and current.complaint is None:
            self.current = Turn(current.link, current.is_last, failure, current.again)
            return True
        if not begun:
            return False
        if wrote and failure.kind in _MAY_RECOVER and not current.again:
            self._fallen.append(current.link)
        again = not self._coming
        waiting = self._fallen if again else self._coming
        if not waiting:
            return False
        link = waiting.popleft()
        is_last = not self._coming and not self._fallen
        self.current = Turn(link, is_last, again=again)
        return True
