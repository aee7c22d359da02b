"""What a call knows of the windows that are full, and in which of their lines it stands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from potluck.quota.admission import WORTH_WAITING, RefusedError
from potluck.quota.budgets import Budget
from potluck.quota.ledger import WindowFullError
from potluck.quota.prospects import Prospects
from potluck.quota.refusals import full, kind_of, too_large
from potluck.quota.waiting import Lines, Stand
from potluck.quota.windows import Amounts, Deployment, Priority, Window

# How often a window that other processes may leave is asked about
_ASK_AGAIN = timedelta(seconds=0.25)


@dataclass(slots=True)
class Request:
    """What one call asks of one deployment, and what it was told.

    `window` is the one that has no room, until `until`; `lines` are those it has come to stand in.
    Once it `is_out`, it is not worth waiting for; `refusal` then says that it never is.
    """

    deployment: Deployment
    budget: Budget
    estimate: Amounts
    amounts: Amounts
    priority: Priority
    not_before: datetime | None
    window: Window | None = None
    until: datetime | None = None
    is_out: bool = False
    refusal: RefusedError | None = None
    lines: set[str] = field(default_factory=set)


class LineUp:
    """Decides where it is worth waiting, by when each window has room for those before and it."""

    def __init__(self, lines: Lines, prospects: Prospects, clock: Callable[[], datetime]) -> None:
        self._lines = lines
        self._prospects = prospects
        self._clock = clock

    def is_known_full(
        self, request: Request, windows: Sequence[Window], stand: Stand, now: datetime
    ) -> bool:
        """Whether others are before it, or somebody has just been told that there is no room."""
        blocked = self._lines.ahead(windows, stand)
        if blocked is not None:
            request.window, request.until = blocked, None
            return True
        for window in windows:
            until = self._lines.full_until(window, request.amounts.of(window.unit))
            if until is not None and now < until:
                request.window, request.until = window, until
                return True
        return False

    def note_full(self, request: Request, error: WindowFullError) -> None:
        """The ledger refused it."""
        window, until = error.window, error.until
        if until is None and window.unit != "concurrent":
            request.is_out = True
            request.refusal = too_large(request.deployment, window, request.amounts)
            return
        if window.unit == "concurrent":
            until = self._clock() + _ASK_AGAIN
        request.window, request.until = window, until

    def line_up(
        self, requests: Sequence[Request], stand: Stand, deadline: datetime
    ) -> timedelta | None:
        """Stand in each line that is worth it; how long to wait there, None: nowhere."""
        now = self._clock()
        times = []
        for request in requests:
            if request.is_out:
                continue
            again_at = self._again_at(request, stand, deadline, now)
            request.is_out = again_at is None
            if again_at is not None:
                times.append(again_at)
        # Whoever went from line to line would call the next there, who would do the same
        wanted = {name for one in requests if not one.is_out for name in one.lines}
        self._lines.leave(stand, [name for name in stand.places if name not in wanted])
        return max(min(times) - now, timedelta()) if times else None

    def _again_at(
        self, request: Request, stand: Stand, deadline: datetime, now: datetime
    ) -> datetime | None:
        """When to look at it again at the latest, if it is in time for that; None: it is not."""
        if now >= deadline:
            return None
        if request.not_before is not None and now < request.not_before:
            return request.not_before if request.not_before <= deadline else None
        window = request.window
        if window is None:
            # It was not tried: its time came only after that
            return now
        before = self._lines.before(window, stand)
        amount = request.amounts.of(window.unit)
        turn = self._prospects.turn(window, _not_a_poll(request), before, amount)
        if kind_of(window) not in WORTH_WAITING or turn > deadline:
            return None
        self._lines.join(stand, window, amount, self._prospects.per_s(window, amount))
        request.lines.add(window.id)
        if request.until is None:
            # Whoever is before it calls it
            return deadline
        self._lines.note_full(window, amount, request.until)
        return min(request.until, deadline)

    def refusals(self, requests: Sequence[Request], stand: Stand) -> dict[int, RefusedError]:
        """What each request that was tried is told, by its index."""
        found = {}
        for place, request in enumerate(requests):
            if request.refusal is not None:
                found[place] = request.refusal
            elif request.window is not None:
                window = request.window
                before = self._lines.before(window, stand)
                amount = request.amounts.of(window.unit)
                until = self._prospects.after_booked(window, _not_a_poll(request), before, amount)
                found[place] = full(request.deployment, window, amount, until)
        return found


def _not_a_poll(request: Request) -> datetime | None:
    """When there is room, as the ledger has it; of calls under way it does not know."""
    is_call = request.window is not None and request.window.unit == "concurrent"
    return None if is_call else request.until
