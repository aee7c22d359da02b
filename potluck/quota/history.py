"""The usage history: every call, noted at once, written a moment later, summed for each day."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Self

from potluck.errors import DatabaseError
from potluck.pool import Pool
from potluck.quota.call_hours import HourSum, hour_of
from potluck.quota.call_memory import CallMemory
from potluck.quota.call_store import CallStore
from potluck.quota.call_sums import CallSum, PricedCall, day_of
from potluck.quota.call_table import CallTable
from potluck.quota.calls import CallRecord, Price

KEEP_DAYS = 90
BATCH = 200
MOST_WAITING = 20_000
WRITE_EVERY_S = 0.5
RETRY_EVERY_S = 2.0
FORGET_EVERY = timedelta(hours=1)
CLOSE_TIMEOUT_S = 3.0

_log = logging.getLogger(__name__)


class CallHistory:
    """Keeps every call; close it with `aclose` when done.

    Noting never waits and never fails: calls stand in a queue that a task empties into the store.
    While the store cannot be reached they wait, up to 20,000; what comes then is dropped, counted
    in `dropped` and logged once.
    """

    def __init__(
        self,
        store: CallStore,
        *,
        prices: Mapping[str, Price],
        clock: Callable[[], datetime],
        keep_days: Callable[[], int] = lambda: KEEP_DAYS,
    ) -> None:
        self.dropped = 0
        self.listeners: list[Callable[[CallRecord], None]] = []
        """Told of each call when it is noted."""
        self._store = store
        self._prices = prices
        self._clock = clock
        self._keep_days = keep_days
        self._waiting: deque[PricedCall] = deque()
        self._numbers = itertools.count()
        self._noted = asyncio.Event()
        self._full_batch = asyncio.Event()
        self._writing = asyncio.Lock()
        self._out = False
        self._forget_at = clock()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls,
        pool: Pool | None,
        *,
        prices: Mapping[str, Price],
        clock: Callable[[], datetime],
        keep_days: Callable[[], int] = lambda: KEEP_DAYS,
    ) -> Self:
        """A history in the database, or without one in memory, that writes by itself.

        `prices` are by `provider/model-id`; `keep_days` is asked anew each hour.
        """
        store = CallMemory() if pool is None else CallTable(pool)
        made = cls(store, prices=prices, clock=clock, keep_days=keep_days)
        made.start()
        return made

    def start(self) -> None:
        """Begin to write in the background, in the running event loop."""
        self._task = asyncio.create_task(self._write_on())

    def note(self, record: CallRecord) -> None:
        """Keep the record."""
        for listen in self.listeners:
            listen(record)
        if len(self._waiting) >= MOST_WAITING:
            if not self.dropped:
                _log.warning("The usage history cannot be written: calls are not noted any more.")
            self.dropped += 1
            return
        price = self._prices.get(f"{record.provider}/{record.model}")
        cost = price.of(record.input_tokens, record.output_tokens) if price else None
        self._waiting.append(PricedCall(next(self._numbers), record, cost))
        self._noted.set()
        if len(self._waiting) >= BATCH:
            self._full_batch.set()

    async def sums(self, days: int, tenant: str | None = None) -> list[CallSum]:
        """The sums of today (UTC) and the days before it, `days` in all, oldest first.

        Of everybody's calls, or only of a tenant's. This process's own are all in it. Raises
        DatabaseError.
        """
        await self.flush()
        return await self._store.sums(self.today() - timedelta(days=days - 1), tenant)

    async def hours(self, count: int, tenant: str | None = None) -> list[HourSum]:
        """The sums of the present hour and those before it, `count` in all, oldest first.

        This process's own calls are all in it. Raises DatabaseError.
        """
        await self.flush()
        since = hour_of(self._clock()) - timedelta(hours=count - 1)
        return await self._store.hours(since, tenant)

    def today(self) -> date:
        """The UTC day it is."""
        return day_of(self._clock())

    async def flush(self) -> None:
        """Write all that waits. Raises DatabaseError."""
        async with self._writing:
            while self._waiting:
                batch = list(itertools.islice(self._waiting, BATCH))
                await self._store.write(batch)
                for _ in batch:
                    self._waiting.popleft()

    async def aclose(self) -> None:
        """Write what waits, as far as that can be done quickly, and stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.flush()
        except (DatabaseError, TimeoutError) as error:
            _log.warning("%d calls are lost to the usage history: %s", len(self._waiting), error)

    async def _write_on(self) -> None:
        while True:
            await self._noted.wait()
            await self._wait_for_more()
            self._noted.clear()
            self._full_batch.clear()
            try:
                await self.flush()
                await self._forget()
            except DatabaseError as error:
                await self._stand_by(error)
            else:
                if self._out:
                    _log.warning("The usage history is written again; it lacks %d.", self.dropped)
                self._out = False

    async def _wait_for_more(self) -> None:
        try:
            async with asyncio.timeout(WRITE_EVERY_S):
                await self._full_batch.wait()
        except TimeoutError:
            return

    async def _stand_by(self, error: DatabaseError) -> None:
        """Say once that the store is out, and try again later."""
        if not self._out:
            _log.warning("Calls wait to be written: %s", error)
        self._out = True
        self._noted.set()
        await asyncio.sleep(RETRY_EVERY_S)

    async def _forget(self) -> None:
        now = self._clock()
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY
            await self._store.forget(now - timedelta(days=self._keep_days()))
