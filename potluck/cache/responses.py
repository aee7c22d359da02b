"""The cache of answers: the same request again gets the same answer, and costs nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from potluck.cache.entry import Entry
from potluck.cache.flight import Flight, Landed
from potluck.cache.store import CacheOptions, Kept, MemoryStore, Store
from potluck.cache.table import TableStore
from potluck.pool import Pool
from potluck.quota.windows import Priority

CacheMode = Literal["use", "refresh", "off", "always"]
"""`refresh` asks anew and stores; `always` takes stored answers at temperatures above 0, too."""

# Whoever has waited in vain for so many calls that failed makes its own
MOST_FLIGHTS = 3
CLOSE_TIMEOUT_S = 2.0
_SEPARATOR = ":"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: a thread, and the task of the graph that runs in it.

    The same request again in a thread asks for another answer, unless a task is done again.
    """

    thread: str | None = None
    task: str | None = None

    @property
    def mark(self) -> str:
        """A short name of the asker; empty when its thread is not known."""
        if not self.thread:
            return ""
        return f"{_digest(self.thread)}{_SEPARATOR}{_digest(self.task) if self.task else ''}"

    def wants_another(self, given: tuple[str, ...]) -> bool:
        """Whether the answer that was given to these would come to this thread a second time."""
        mark = self.mark
        if not mark:
            return False
        thread = mark.partition(_SEPARATOR)[0] + _SEPARATOR
        return any(one.startswith(thread) and (one != mark or not self.task) for one in given)


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the cache; `anew` when a stored answer is not wanted.

    Only questions of one priority wait for each other: an urgent call must not wait for one that
    lets others go first.
    """

    key: bytes
    asker: Asker = Asker()
    anew: bool = False
    priority: Priority = "interactive"

    @property
    def place(self) -> tuple[bytes, Priority]:
        """Where those wait that share one call."""
        return self.key, self.priority


class Turn:
    """One question's way through the cache: its `entry`, or else the way to keep an answer."""

    def __init__(
        self, cache: "ResponseCache", question: Question, entry: Entry | None, flight: Flight | None
    ) -> None:
        self.entry = entry
        self._cache = cache
        self._question = question
        self._flight = flight

    def keep(self, entry: Entry) -> None:
        """Store a whole good answer, and give it to everybody who waits for it."""
        self._cache.put(self._question, entry)
        if self._flight is not None:
            self._flight.land(Landed(entry))

    def rest(self) -> None:
        """A piece of the answer goes to its reader."""
        if self._flight is not None:
            self._flight.rest()

    def go_on(self) -> None:
        """The reader wants more."""
        if self._flight is not None:
            self._flight.go_on()


class ResponseCache:
    """Answers by request, in PostgreSQL or in memory. Close it with `aclose` when done."""

    def __init__(self, store: Store, options: CacheOptions) -> None:
        self.options = options
        self._store = store
        self._flights: dict[tuple[bytes, Priority], Flight] = {}
        self._puts: dict[bytes, asyncio.Task[None]] = {}

    @classmethod
    def open(
        cls, pool: Pool | None, options: CacheOptions, *, clock: Callable[[], datetime]
    ) -> "ResponseCache":
        """The cache of this process, or with a pool the one that all replicas share."""
        return cls(MemoryStore(clock) if pool is None else TableStore(pool, clock), options)

    def apply(self, options: CacheOptions) -> None:
        """Go on with other options; what is stored stays, as far as they allow."""
        self.options = options

    @asynccontextmanager
    async def turn(self, question: Question) -> AsyncIterator[Turn]:
        """Find an answer, or hold the place of the one who asks for it.

        Others that ask the same wait until the block has kept an answer or is left; then the next
        one takes over.
        """
        entry, flight = (None, None) if question.anew else await self._seek(question)
        try:
            yield Turn(self, question, entry, flight)
        finally:
            if flight is not None:
                self._end(question, flight)

    def put(self, question: Question, entry: Entry) -> None:
        """Store an answer, beside whoever has it already."""
        value, key = entry.to_bytes(), question.key
        if value is None or not self.options.takes(value):
            return
        storing = self._store.put(key, value, question.asker.mark, self.options)
        task = self._puts[key] = asyncio.create_task(storing)
        task.add_done_callback(lambda done: self._stored(key, done))

    def _stored(self, key: bytes, task: asyncio.Task[None]) -> None:
        if self._puts.get(key) is task:
            del self._puts[key]
        if not task.cancelled():
            # A store that is out tells so itself
            task.exception()

    async def aclose(self) -> None:
        """End what is under way."""
        if self._puts:
            await asyncio.wait(self._puts.values(), timeout=CLOSE_TIMEOUT_S)
        await self._store.aclose()

    async def _seek(self, question: Question) -> tuple[Entry | None, Flight | None]:
        """A stored or shared answer; or a flight, when this is the one to ask; or neither."""
        for _ in range(MOST_FLIGHTS):
            flight = self._flights.get(question.place)
            if flight is None:
                return await self._take_off(question)
            landed = await flight.landing()
            if landed is not None:
                return await self._share(question, landed), None
            if flight.is_stalled:
                break
        return None, None

    async def _take_off(self, question: Question) -> tuple[Entry | None, Flight | None]:
        """Look into the store, in the name of all who ask the same meanwhile."""
        flight = self._flights[question.place] = Flight()
        found: Landed | None = None
        looked = False
        try:
            found = await self._find(question)
            looked = True
        finally:
            if found is not None or not looked:
                flight.land(found)
                self._end(question, flight)
        if found is None:
            return None, flight
        return None if question.asker.wants_another(found.given) else found.entry, None

    async def _find(self, question: Question) -> Landed | None:
        kept = await self._look(question)
        if kept is None:
            return None
        entry = Entry.from_bytes(kept.value)
        if entry is None:
            await self._store.remove(question.key)
            return None
        return Landed(entry, kept.given)

    async def _share(self, question: Question, landed: Landed) -> Entry | None:
        """Another one's answer; none for whoever has had it before."""
        if question.asker.wants_another(landed.given):
            return None
        if question.asker.mark:
            # For the note that this thread has it now
            await self._look(question)
        return landed.entry

    async def _look(self, question: Question) -> Kept | None:
        """What the store has, once it has what it is being given."""
        storing = self._puts.get(question.key)
        if storing is not None:
            # The store bounds the time
            await asyncio.wait((storing,))
        return await self._store.find(question.key, question.asker.mark, self.options)

    def _end(self, question: Question, flight: Flight) -> None:
        if self._flights.get(question.place) is flight:
            del self._flights[question.place]
        flight.land(None)


def _digest(name: str) -> str:
    return hashlib.blake2s(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
