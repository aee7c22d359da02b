"""The use of one window in memory: entries that end, a level that sinks, or calls under way."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from potluck.quota.periods import ends_of, flow_per_s, is_calendar, kind
from potluck.quota.windows import Use, Window

# Nobody knows when a call under way will end: look again then.
CALL_RETRY = timedelta(seconds=1)
# Sums of fractions come out a little off.
TOLERANCE = 1e-9


@dataclass(slots=True)
class Tally:
    """How much of `window` is used, as of `at`; `entries` holds amounts by when they end."""

    window: Window
    at: datetime
    used: float = 0.0
    entries: dict[datetime, float] = field(default_factory=dict)

    def last_end(self, now: datetime) -> datetime | None:
        """When a use of `now` ends; None where that is no matter of time alone."""
        return ends_of(self.window, now) if kind(self.window) == "entries" else None

    def advance(self, now: datetime) -> None:
        """Forget what has ended. A clock that went back moves later uses to `now`."""
        if now < self.at:
            self._rewind(now)
        if kind(self.window) == "refill":
            flowed = flow_per_s(self.window) * (now - self.at).total_seconds()
            self.used = max(0.0, self.used - flowed)
        self.at = now
        while self.entries and (first := next(iter(self.entries))) <= now:
            self.used = max(0.0, self.used - self.entries.pop(first))

    def shift(self, ends: datetime | None, amount: float, now: datetime) -> None:
        """Add the amount, which may be negative, to what ends at `ends`."""
        if ends is not None:
            if ends <= now:
                return
            self._enter(ends, amount)
        self.used = max(0.0, self.used + amount)
        self.at = now

    def has_room(self, amount: float) -> bool:
        """Whether the limit allows for so much more."""
        return _within(self.used + amount, self.window.limit)

    def room_at(self, amount: float, now: datetime) -> datetime | None:
        """When there is room for a refused amount; None: never."""
        limit = self.window.limit
        if not _within(amount, limit):
            return None
        match kind(self.window):
            case "call":
                return now + CALL_RETRY
            case "refill":
                return now + self._flow_time(self.used + amount - limit)
            case "entries":
                left = self.used
                for ends, entered in self.entries.items():
                    left -= entered
                    if _within(left + amount, limit):
                        return ends
                return next(reversed(self.entries), now)

    def use(self, now: datetime) -> Use:
        """What is used now; call `advance` before."""
        window = self.window
        match kind(window):
            case "call":
                return Use(window, self.used, now + CALL_RETRY if self.used > TOLERANCE else None)
            case "refill":
                if self.used <= TOLERANCE:
                    return Use(window, self.used)
                free_at = now + self._flow_time(min(1.0, self.used))
                return Use(window, self.used, free_at, now + self._flow_time(self.used))
            case "entries":
                last = next(reversed(self.entries), None)
                if last is None and is_calendar(window):
                    last = ends_of(window, now)
                return Use(window, self.used, next(iter(self.entries), None), last)

    def _flow_time(self, amount: float) -> timedelta:
        rate = flow_per_s(self.window)
        return timedelta(microseconds=math.ceil(amount / rate * 1e6)) if rate > 0 else timedelta()

    def _enter(self, ends: datetime, amount: float) -> None:
        is_last = not self.entries or ends >= next(reversed(self.entries))
        self.entries[ends] = self.entries.get(ends, 0.0) + amount
        if self.entries[ends] <= TOLERANCE:
            del self.entries[ends]
        elif not is_last:
            self.entries = dict(sorted(self.entries.items()))

    def _rewind(self, now: datetime) -> None:
        self.at = now
        last = self.last_end(now)
        if last is None:
            return
        late = [ends for ends in self.entries if ends > last]
        moved = sum(self.entries.pop(ends) for ends in late)
        if late:
            self._enter(last, moved)


def _within(amount: float, limit: float) -> bool:
    return amount <= limit + TOLERANCE * max(1.0, limit)
