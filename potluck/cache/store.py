"""Where answers are kept: a place for bytes that forgets what is old, and what is used least."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

# One answer may take this share of the whole, so that it does not push out all others
LARGEST_SHARE = 1 / 8
# Key, times and marks of an entry, about
OVERHEAD_BYTES = 300
MOST_MARKS = 16


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """limits.yaml `optimization`, as far as the cache goes."""

    enabled: bool = True
    ttl: timedelta = timedelta(hours=24)
    max_bytes: int = 64 * 2**20

    def takes(self, value: bytes) -> bool:
        """Whether a value is small enough."""
        return size_of(value) <= self.max_bytes * LARGEST_SHARE


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored value, since when it is there, and to whom it was given: marks, latest last."""

    value: bytes
    at: datetime
    given: tuple[str, ...] = ()


class Store(Protocol):
    """Keeps values for their time to live, within its size; never raises, never waits for long."""

    async def find(self, key: bytes, mark: str, options: CacheOptions) -> Kept | None:
        """The value, as it was before it is given to `mark`, which is noted."""

    async def put(self, key: bytes, value: bytes, mark: str, options: CacheOptions) -> None:
        """Keep a value that was given to `mark`, in place of an older one."""

    async def remove(self, key: bytes) -> None:
        """Forget a value."""

    async def aclose(self) -> None:
        """End what is under way."""


def size_of(value: bytes) -> int:
    """How many bytes an entry takes, about."""
    return len(value) + OVERHEAD_BYTES


class MemoryStore:
    """A Store of this process."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._bytes = 0

    async def find(self, key: bytes, mark: str, options: CacheOptions) -> Kept | None:
        """The value, as it was before it is given to `mark`, which is noted."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.at <= self._clock() - options.ttl:
            await self.remove(key)
            return None
        if mark and mark not in kept.given:
            given = (*kept.given, mark)[-MOST_MARKS:]
            self._kept[key] = replace(kept, given=given)
        self._kept.move_to_end(key)
        return kept

    async def put(self, key: bytes, value: bytes, mark: str, options: CacheOptions) -> None:
        """Keep a value that was given to `mark`; the least recently used ones make room."""
        await self.remove(key)
        self._kept[key] = Kept(value, self._clock(), (mark,) if mark else ())
        self._bytes += size_of(value)
        while self._bytes > options.max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= size_of(oldest.value)

    async def remove(self, key: bytes) -> None:
        """Forget a value."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= size_of(kept.value)

    async def aclose(self) -> None:
        """Nothing is under way."""
