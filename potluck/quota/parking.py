"""Parked runs: who waits for quota, until when, and with which context the run goes on."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg

from potluck.pool import Pool
from potluck.quota.parked_run import MemoryShelf, ParkedRun, Shelf
from potluck.quota.parked_table import ParkedTable

logger = logging.getLogger(__name__)


class ParkedRuns:
    """All parked runs: in PostgreSQL, shared by replicas; without a pool, those of this process."""

    def __init__(
        self, pool: Pool | None = None, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._shelf: Shelf = MemoryShelf() if pool is None else ParkedTable(pool)
        self._clock = clock or _now
        # What could not be written because the database was away
        self._unwritten: list[ParkedRun] = []
        self._locked: set[str] = set()
        self.changed = asyncio.Event()
        """Set when a run was parked or moved here: another may be the next one due."""

    def now(self) -> datetime:
        """The time by which `resume_at` is reckoned."""
        return self._clock()

    async def note(self, run: ParkedRun) -> None:
        """Keep it, joined with what the same run has parked side by side; never fails."""
        self._unwritten.append(run)
        try:
            await self._write()
        except psycopg.Error as error:
            logger.warning("A parked run is kept in memory until the database is back: %s", error)
        self.changed.set()

    async def list(self) -> list[ParkedRun]:
        """Every parked run, the next one due first. Raises psycopg.Error."""
        await self._write()
        runs = await self._shelf.read()
        return sorted(runs, key=lambda run: (run.resume_at, run.since))

    async def find(self, thread_id: str) -> ParkedRun | None:
        """The parked run of a thread, or None. Raises psycopg.Error."""
        await self._write()
        found = await self._shelf.read(thread_id)
        return found[0] if found else None

    async def remove(self, run: ParkedRun) -> None:
        """Forget it, unless its thread has been parked anew since. Raises psycopg.Error."""
        await self._shelf.remove(run)

    async def move(self, run: ParkedRun, resume_at: datetime) -> None:
        """Have it go on at another time. Raises psycopg.Error."""
        await self._shelf.move(run, resume_at)
        self.changed.set()

    @asynccontextmanager
    async def lock(self, thread_id: str) -> AsyncIterator[bool]:
        """Whether this thread is ours alone inside the block, among all tasks and replicas.

        A process that dies gives its locks back. Raises psycopg.Error.
        """
        if thread_id in self._locked:
            yield False
            return
        self._locked.add(thread_id)
        try:
            async with self._shelf.lock(thread_id) as is_ours:
                yield is_ours
        finally:
            self._locked.discard(thread_id)

    async def _write(self) -> None:
        while self._unwritten:
            run = self._unwritten[0]
            await self._shelf.put(run)
            if self._unwritten and self._unwritten[0] is run:
                del self._unwritten[0]


def _now() -> datetime:
    return datetime.now(UTC)
