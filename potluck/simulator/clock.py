"""The simulator's own time, which may run faster than the world's and can be moved on."""

import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Time that runs at `speed` times the world's from `start` on.

    `start` is in UTC; without it, time begins now. Everything the simulator tells (reset times,
    waits, dates) is in this time.
    """

    def __init__(self, *, speed: float = 1.0, start: datetime | None = None) -> None:
        if speed <= 0:
            raise ValueError("speed must be more than 0")
        self.speed = speed
        self.start = start or datetime.now(UTC)
        self._origin = time.monotonic()
        self._skipped_s = 0.0
        self._lock = threading.Lock()

    def elapsed_s(self) -> float:
        """Seconds of this time since the start; never runs backwards."""
        return (time.monotonic() - self._origin) * self.speed + self._skipped_s

    def now(self) -> datetime:
        """The time of day here, in UTC."""
        return self.start + timedelta(seconds=self.elapsed_s())

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds at once."""
        if seconds < 0:
            raise ValueError("time only moves forwards")
        with self._lock:
            self._skipped_s += seconds

    def real_s(self, seconds: float) -> float:
        """How long so many seconds of this time last in the world."""
        return seconds / self.speed
