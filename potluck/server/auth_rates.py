"""How many requests a key may make in a minute."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MINUTE_S = 60.0


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Rates:
    """A bucket for each key: full at first, filled evenly, of this process alone.

    `requests_per_minute` 0 means no limit.
    """

    def __init__(
        self, requests_per_minute: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = float(requests_per_minute)
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str) -> int:
        """Count one request; 0 if it may go on, else after how many seconds the next one may."""
        if not self._most:
            return 0
        now_s = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._most, now_s))
        filled = bucket.left + (now_s - bucket.at_s) * self._most / MINUTE_S
        bucket.left, bucket.at_s = min(self._most, filled), now_s
        if bucket.left >= 1:
            bucket.left -= 1
            return 0
        return math.ceil((1 - bucket.left) * MINUTE_S / self._most)
