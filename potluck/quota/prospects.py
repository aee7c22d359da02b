"""When a window that is full has room: for a call, for those before it, for those who come back."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from potluck.quota.budgets import is_limited
from potluck.quota.windows import Use, Window

_MINUTE_S = 60.0
# How long a call is taken to last until one was seen
_CALL_S = 5.0
# Of those who come back when a day begins, so many seconds lie between one and the next
_APART_S = 1.0


class Prospects:
    """What was last heard of the windows' use, and what follows from it. Asks nobody."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: dict[str, Use] = {}
        self._news: Counter[str] = Counter()
        self._call_s: dict[str, float] = {}
        self._booked: dict[str, list[tuple[datetime, float]]] = {}

    def news(self, account: str) -> int:
        """Another number whenever something was heard of the account's windows."""
        return self._news[account]

    def remember(self, account: str, uses: Iterable[Use]) -> None:
        """The account's windows are used like this now."""
        self._news[account] += 1
        for use in uses:
            self._known[use.window.id] = use

    def use(self, window: Window, now: datetime) -> Use:
        """The window's use when last heard of."""
        use = self._known.get(window.id)
        if use is None or (use.resets_at is not None and use.resets_at <= now):
            return Use(window, 0.0)
        return use if use.window is window else replace(use, window=window)

    def raise_to(self, account: str, window: Window, at_least: float) -> bool:
        """At least so much is used; whether that is news."""
        known = self._known.get(window.id)
        is_same = known is not None and known.window.reset == window.reset
        if known is not None and is_same and known.used >= at_least:
            return False
        self._news[account] += 1
        self._known[window.id] = Use(window, at_least)
        return True

    def settle(
        self, account: str, window: Window, *, held: float, used: float, lasted_s: float
    ) -> None:
        """A call that held so much is over, and used so much."""
        self._news[account] += 1
        known = self._known.get(window.id)
        if known is not None:
            self._known[window.id] = replace(known, used=max(0.0, known.used - held + used))
        if window.unit == "concurrent":
            before_s = self._call_s.get(window.id, lasted_s)
            self._call_s[window.id] = before_s + (lasted_s - before_s) / 4

    def per_s(self, window: Window, amount: float) -> float:
        """How many calls of such an amount the window admits each second."""
        if window.unit == "concurrent":
            return max(window.limit, 1.0) / self._lasting_s(window)
        return window.limit / max(amount, 1e-9) / _MINUTE_S

    def turn(
        self, window: Window, until: datetime | None, before: float, amount: float
    ) -> datetime:
        """About when a full window has room for `amount`, after others have taken `before`.

        `until` is when it has room if nobody else comes.
        """
        now = self._clock()
        if window.unit == "concurrent":
            interval_s = self._lasting_s(window) / max(window.limit, 1.0)
            return now + timedelta(seconds=interval_s * (before + 0.5))
        known = self._known.get(window.id)
        first = until or (known.free_at if known is not None else None) or now
        return max(first, now) + _flow_time(window, known, before, amount)

    def book(self, window: Window, amount: float, at: datetime) -> None:
        """Somebody was told to come back then: whoever asks meanwhile is told a later time."""
        now = self._clock()
        booked = [one for one in self._booked.get(window.id, ()) if one[0] > now]
        self._booked[window.id] = [*booked, (at, amount)]

    def after_booked(
        self, window: Window, until: datetime | None, before: float, amount: float
    ) -> datetime:
        """As `turn`, after all who were told to come back."""
        now = self._clock()
        coming = [booked for at, booked in self._booked.get(window.id, ()) if at > now]
        turn = self.turn(window, until, before + sum(coming), amount)
        if window.period in {"minute", "call"}:
            return turn
        return turn + timedelta(seconds=_APART_S * len(coming))

    def _lasting_s(self, window: Window) -> float:
        return max(self._call_s.get(window.id, _CALL_S), 1e-3)


def _flow_time(window: Window, known: Use | None, before: float, amount: float) -> timedelta:
    """How long after the first room there is as much again as others take before."""
    if window.period != "minute" or not is_limited(window) or window.limit <= 0:
        return timedelta()
    pace_s = _MINUTE_S / window.limit
    if known is not None and known.free_at is not None and known.resets_at is not None:
        # What was used in a burst comes back in a burst
        span_s = (known.resets_at - known.free_at).total_seconds()
        pace_s = min(pace_s, span_s / max(known.used, 1e-9))
    minutes = math.floor((before + min(amount, window.limit) - 1e-9) / window.limit)
    rest = max(0.0, before - minutes * window.limit)
    return timedelta(seconds=minutes * _MINUTE_S + rest * pace_s)
