"""Waiting for room in a window: in line, by priority, and first come first served in each."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from potluck.quota.windows import Priority, Window

_RANKS: dict[Priority, int] = {"interactive": 0, "background": 1, "batch": 2}
# A head that is told no room at once asks again after this, not in a tight loop
_SHORTEST_S = 0.005


@dataclass(slots=True, eq=False)
class Ticket:
    """One call's place in a line; `amount` is what it wants of the window, in its unit."""

    window: Window
    priority: Priority
    amount: float
    number: int
    called: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: lower is nearer to the head."""
        return _RANKS[self.priority], self.number


class Lines:
    """The lines before all windows. Only the head of a line asks for room, so there is no herd."""

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._lines: dict[str, list[Ticket]] = {}
        self._numbers = count()

    def ahead(
        self, windows: Iterable[Window], priority: Priority, ticket: Ticket | None = None
    ) -> tuple[Window, list[Ticket]] | None:
        """The window with the most calls before this one, and who they are; None: it is next."""
        place = ticket.place if ticket is not None else (_RANKS[priority], float("inf"))
        found: tuple[Window, list[Ticket]] | None = None
        for window in windows if self._lines else ():
            before = [one for one in self._lines.get(window.id, ()) if one.place < place]
            if before and (found is None or len(before) > len(found[1])):
                found = window, before
        return found

    def join(
        self, window: Window, priority: Priority, amount: float, ticket: Ticket | None = None
    ) -> Ticket:
        """Stand in the window's line; whoever comes from another line keeps the number."""
        if ticket is not None and ticket.window.id == window.id:
            return ticket
        number = next(self._numbers) if ticket is None else ticket.number
        if ticket is not None:
            self.leave(ticket)
        joined = Ticket(window, priority, amount, number)
        line = self._lines.setdefault(window.id, [])
        line.append(joined)
        line.sort(key=lambda one: one.place)
        return joined

    def leave(self, ticket: Ticket) -> None:
        """Out of the line; the next one is called."""
        line = self._lines.get(ticket.window.id)
        if line is None or ticket not in line:
            return
        line.remove(ticket)
        if line:
            line[0].called.set()
        else:
            del self._lines[ticket.window.id]

    def call(self, windows: Iterable[Window]) -> None:
        """Room was given back: whoever is next before these windows may ask again."""
        for window in windows if self._lines else ():
            line = self._lines.get(window.id)
            if line:
                line[0].called.set()

    async def wait(self, ticket: Ticket, seconds: float) -> None:
        """Return when the ticket is called, or after so long."""
        ticket.called.clear()
        timer = asyncio.ensure_future(self._sleep(max(seconds, _SHORTEST_S)))
        timer.add_done_callback(lambda _: ticket.called.set())
        try:
            # Bounded by the timer
            await ticket.called.wait()
        finally:
            timer.cancel()
