"""Counting use against a limit: refilled evenly, rolling, or until a fixed hour."""

import bisect
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from potluck.simulator.profile import Period, WindowSpec

_PACIFIC = ZoneInfo("America/Los_Angeles")
_SECONDS: dict[Period, float] = {"minute": 60.0, "day": 86_400.0}


class Window(Protocol):
    """Use of one limit. Times are seconds since the epoch and never go back."""

    limit: int

    def used(self, now_s: float) -> float:
        """How much of the limit is used at this time."""

    def take(self, now_s: float, amount: float) -> None:
        """Count use, whether it fits or not."""

    def give_back(self, now_s: float, amount: float, *, taken_s: float) -> None:
        """Count so much less of what was taken then; nothing when that has expired."""

    def wait_s(self, now_s: float, amount: float) -> float:
        """How long until this much fits; for more than the limit, until all of it is free."""

    def reset_s(self, now_s: float) -> float:
        """How long until all of the limit is free, if nothing more is used."""


class RefillWindow:
    """A bucket into which the limit flows back evenly over the period."""

    def __init__(self, limit: int, period_s: float) -> None:
        self.limit = limit
        self._rate = limit / period_s
        self._used = 0.0
        self._at = 0.0

    def used(self, now_s: float) -> float:
        """What has not flowed back yet."""
        self._used = max(0.0, self._used - (now_s - self._at) * self._rate)
        self._at = now_s
        return self._used

    def take(self, now_s: float, amount: float) -> None:
        """Count use."""
        self._used = self.used(now_s) + amount

    def give_back(self, now_s: float, amount: float, *, taken_s: float) -> None:
        """Let so much flow back at once."""
        del taken_s
        self._used = max(0.0, self.used(now_s) - amount)

    def wait_s(self, now_s: float, amount: float) -> float:
        """How long until enough has flowed back."""
        over = self.used(now_s) + min(amount, self.limit) - self.limit
        return max(0.0, over) / self._rate

    def reset_s(self, now_s: float) -> float:
        """How long until the bucket is full."""
        return self.used(now_s) / self._rate


class RollingWindow:
    """Each use counts for one period from its own moment on."""

    def __init__(self, limit: int, period_s: float) -> None:
        self.limit = limit
        self._period_s = period_s
        self._uses: deque[tuple[float, float]] = deque()

    def used(self, now_s: float) -> float:
        """The use of the last period."""
        while self._uses and self._uses[0][0] + self._period_s <= now_s:
            self._uses.popleft()
        return sum(amount for _, amount in self._uses)

    def take(self, now_s: float, amount: float) -> None:
        """Count use."""
        self._uses.append((now_s, amount))

    def give_back(self, now_s: float, amount: float, *, taken_s: float) -> None:
        """Make the use itself smaller, if it has not expired."""
        del now_s
        place = bisect.bisect_left(self._uses, taken_s, key=lambda use: use[0])
        if place < len(self._uses) and self._uses[place][0] == taken_s:
            self._uses[place] = (taken_s, self._uses[place][1] - amount)

    def wait_s(self, now_s: float, amount: float) -> float:
        """How long until enough of the oldest use has expired."""
        over = self.used(now_s) + min(amount, self.limit) - self.limit
        for at, used in self._uses:
            if over <= 0:
                break
            over -= used
            if over <= 0:
                return at + self._period_s - now_s
        return 0.0 if over <= 0 else self._period_s

    def reset_s(self, now_s: float) -> float:
        """How long until the latest use has expired."""
        self.used(now_s)
        return self._uses[-1][0] + self._period_s - now_s if self._uses else 0.0


class FixedWindow:
    """All use is forgotten at a given hour."""

    def __init__(self, limit: int, end_of: Callable[[datetime], datetime]) -> None:
        self.limit = limit
        self._end_of = end_of
        self._end_s = 0.0
        self._used = 0.0

    def used(self, now_s: float) -> float:
        """The use since the last reset."""
        if now_s >= self._end_s:
            self._used = 0.0
            self._end_s = self._end_of(datetime.fromtimestamp(now_s, UTC)).timestamp()
        return self._used

    def take(self, now_s: float, amount: float) -> None:
        """Count use."""
        self._used = self.used(now_s) + amount

    def give_back(self, now_s: float, amount: float, *, taken_s: float) -> None:
        """Count less, unless there was a reset since."""
        self.used(now_s)
        if self._end_of(datetime.fromtimestamp(taken_s, UTC)).timestamp() == self._end_s:
            self._used = max(0.0, self._used - amount)

    def wait_s(self, now_s: float, amount: float) -> float:
        """How long until the reset, if this much does not fit now."""
        fits = self.used(now_s) + min(amount, self.limit) <= self.limit
        return 0.0 if fits else self._end_s - now_s

    def reset_s(self, now_s: float) -> float:
        """How long until the reset."""
        self.used(now_s)
        return self._end_s - now_s


def window_of(spec: WindowSpec, limit: int) -> Window:
    """The window this specification asks for, with a limit of more than 0."""
    period_s = _SECONDS.get(spec.period)
    if period_s is None:
        return FixedWindow(limit, _ENDS[spec.period])
    return RefillWindow(limit, period_s) if spec.refill else RollingWindow(limit, period_s)


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """The next midnight in this time zone, in UTC."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)


def _next_month(now: datetime) -> datetime:
    year, month = divmod(now.year * 12 + now.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


_ENDS: dict[Period, Callable[[datetime], datetime]] = {
    "utc_day": lambda now: next_midnight(now, ZoneInfo("UTC")),
    "pacific_day": lambda now: next_midnight(now, _PACIFIC),
    "month": _next_month,
}
