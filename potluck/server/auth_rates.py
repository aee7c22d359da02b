"""How many requests a key may make in a minute, as this process counts them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

MINUTE_S = 60.0


class Rates(Protocol):
    """Counts the requests of each key."""

    async def take(self, key: str) -> int:
        """Count one request; 0 if it may go on, else after how many seconds the next one may."""

    async def aclose(self) -> None:
        """Let go of what it counts with."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at_s: float


class Buckets:
    """A bucket for each key: full at first, filled evenly, of this process alone.

    0 requests per minute means no limit.
    """

    def __init__(
        self, requests_per_minute: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = float(requests_per_minute)
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    async def take(self, key: str) -> int:
        """Count one request; 0 if it may go on, else after how many seconds the next one may."""
        return self.count(key)

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    def count(self, key: str) -> int:
        """As `take`, at once."""
        if not self._most:
            return 0
        bucket = self._filled(key)
        if bucket.left >= 1:
            bucket.left -= 1
            return 0
        return math.ceil((1 - bucket.left) * MINUTE_S / self._most)

    def give_back(self, key: str) -> None:
        """Forget one request that was counted and then did not go on."""
        bucket = self._filled(key)
        bucket.left = min(self._most, bucket.left + 1)

    def _filled(self, key: str) -> _Bucket:
        now_s = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._most, now_s))
        filled = bucket.left + (now_s - bucket.at_s) * self._most / MINUTE_S
        bucket.left, bucket.at_s = min(self._most, filled), now_s
        return bucket
