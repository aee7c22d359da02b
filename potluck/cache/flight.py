"""A request that is being answered, on which others that ask the same can wait."""

import asyncio
from dataclasses import dataclass, field

from potluck.cache.entry import Entry

# A reader who takes the answer so slowly is no one to wait for
STALL_S = 5.0


@dataclass(frozen=True, slots=True)
class Landed:
    """The answer, and the marks of those to whom it was given before."""

    entry: Entry
    given: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Flight:
    """Lands with an answer, or with None when there is none to share."""

    stall_s: float = STALL_S
    _done: asyncio.Future[Landed | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    _resting_since: float | None = None

    def rest(self) -> None:
        """The reader has a piece of the answer, and the next one waits until the reader asks."""
        self._resting_since = asyncio.get_running_loop().time()

    def go_on(self) -> None:
        """The reader asks for the next piece."""
        self._resting_since = None

    def land(self, landed: Landed | None) -> None:
        """Tell everybody who waits. Only the first time counts."""
        if not self._done.done():
            self._done.set_result(landed)

    @property
    def is_stalled(self) -> bool:
        """Whether the answer waits for its reader, and has for long."""
        since = self._resting_since
        now = asyncio.get_running_loop().time()
        return since is not None and now - since >= self.stall_s

    async def landing(self) -> Landed | None:
        """The answer; None when there is none, or when its reader has stalled.

        It takes as long as the call does, which bounds itself.
        """
        while not self._done.done() and not self.is_stalled:
            await asyncio.wait([self._done], timeout=self.stall_s / 2)
        return self._done.result() if self._done.done() else None
