"""Waiting for room in windows: in line, by priority, and first come first served in each."""

import asyncio
from bisect import insort
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, takewhile

from potluck.quota.windows import Priority, Window

_RANKS: dict[Priority, int] = {"interactive": 0, "background": 1, "batch": 2}
# Whoever is told no room at once asks again after this, not in a tight loop
_SHORTEST_S = 0.005


@dataclass(slots=True, eq=False)
class Place:
    """Where a call stands in one line: `amount` is what it wants of the window, in its unit.

    `per_s` is how many such calls the window admits each second.
    """

    stand: "Stand"
    amount: float
    per_s: float

    @property
    def expected(self) -> float:
        """What it will take of this window on the average: it stands in other lines, too."""
        return self.amount * self.per_s / self.stand.per_s


@dataclass(slots=True, eq=False)
class Stand:
    """One call's places in lines, by the ids of their windows; it may stand in several at once."""

    priority: Priority
    number: int
    places: dict[str, Place] = field(default_factory=dict)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    per_s: float = 0.0

    @property
    def rank(self) -> tuple[int, int]:
        """Lower is nearer to the head, in every line."""
        return _RANKS[self.priority], self.number


@dataclass(slots=True, eq=False)
class _Line:
    """Who waits, by rank; until when the window was said to have no room, and for how much."""

    places: list[Place] = field(default_factory=list)
    full_until: datetime | None = None
    full_for: float = 0.0


class Lines:
    """The lines before all windows. Only the head of a line asks for room, so there is no herd."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._lines: dict[str, _Line] = {}
        self._numbers = count()

    def stand(self, priority: Priority) -> Stand:
        """For a call that comes in now; it stands in no line yet."""
        return Stand(priority, next(self._numbers))

    def ahead(self, windows: Iterable[Window], stand: Stand) -> Window | None:
        """The window with the longest line before this call; None: it is next in all of them."""
        found: tuple[Window, int] | None = None
        for window in windows if self._lines else ():
            line = self._lines.get(window.id)
            if line is None or not _is_before(line.places[0], stand):
                continue
            length = sum(1 for _ in takewhile(lambda one: _is_before(one, stand), line.places))
            if found is None or length > found[1]:
                found = window, length
        return found[0] if found is not None else None

    def before(self, window: Window, stand: Stand) -> float:
        """How much of the window those before this call are expected to take."""
        line = self._lines.get(window.id)
        if line is None:
            return 0.0
        return sum(
            one.expected for one in takewhile(lambda one: _is_before(one, stand), line.places)
        )

    def full_until(self, window: Window, amount: float) -> datetime | None:
        """Until when the window has no room for so much, as far as anybody in its line knows."""
        line = self._lines.get(window.id)
        return line.full_until if line is not None and amount >= line.full_for else None

    def join(self, stand: Stand, window: Window, amount: float, per_s: float) -> None:
        """Stand in the window's line, too."""
        if window.id in stand.places:
            return
        place = stand.places[window.id] = Place(stand, amount, per_s)
        stand.per_s += per_s
        line = self._lines.setdefault(window.id, _Line())
        insort(line.places, place, key=lambda one: one.stand.rank)

    def note_full(self, window: Window, amount: float, until: datetime | None) -> None:
        """There is no room for so much until then: nobody in the line need ask before."""
        line = self._lines.get(window.id)
        if line is not None:
            line.full_until, line.full_for = until, amount

    def leave(self, stand: Stand, window_ids: Iterable[str] | None = None) -> None:
        """Out of these lines, or of all; who is next then is called."""
        for window_id in list(stand.places if window_ids is None else window_ids):
            line, place = self._lines[window_id], stand.places.pop(window_id)
            stand.per_s -= place.per_s
            was_head = line.places[0] is place
            line.places.remove(place)
            if not line.places:
                del self._lines[window_id]
            elif was_head:
                line.places[0].stand.called.set()

    def call(self, windows: Iterable[Window]) -> None:
        """These windows may have room now: whoever is next before them may ask."""
        for window in windows if self._lines else ():
            line = self._lines.get(window.id)
            if line is not None:
                line.full_until = None
                line.places[0].stand.called.set()

    async def wait(self, stand: Stand, seconds: float) -> None:
        """Return when the stand is called, or after so long. Clear `called` before looking."""
        timer = asyncio.ensure_future(self._sleep(max(seconds, _SHORTEST_S)))
        # One that is cancelled must not end the next wait
        timer.add_done_callback(lambda one: None if one.cancelled() else stand.called.set())
        try:
            # Bounded by the timer
            await stand.called.wait()
        finally:
            timer.cancel()


def _is_before(place: Place, stand: Stand) -> bool:
    return place.stand is not stand and place.stand.rank < stand.rank
