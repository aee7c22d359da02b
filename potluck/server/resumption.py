"""Parked runs go on by themselves: each at its time, once, whichever replica comes first."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import psycopg
from langgraph_sdk.client import LangGraphClient

from potluck.engine import Engine
from potluck.quota.parked_run import ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.server import loopback
from potluck.server.ownership import for_owner_of
from potluck.server.parked_threads import Outcome, ParkedThreads
from potluck.server.quota_state import ready_models

# Other replicas park runs without telling this one
LONGEST_SLEEP_S = 5.0
RETRY_S = 0.3
LONGEST_RETRY_S = 30.0
AT_ONCE = 3
RESUME_TIMEOUT_S = 30.0
_RANKS = {"interactive": 0, "background": 1, "batch": 2}

logger = logging.getLogger(__name__)


class Resumption:
    """Watches the parked runs and goes on with those that are due.

    `ready` tells which models (refs) have room now: a run that waits for one that had none before
    need not wait for its time.
    """

    def __init__(
        self,
        parking: ParkedRuns,
        client: Callable[[], LangGraphClient],
        ready: Callable[[], Awaitable[frozenset[str]]] | None = None,
    ) -> None:
        self._parking = parking
        self._client = client
        self._ready = ready
        # Nobody knows at first what has changed: who said when to come back may not be asked sooner
        self._were_ready: frozenset[str] | None = None
        # Threads that were busy: from when they may be looked at again (the loop's time)
        self._not_before: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._told: str | None = None

    async def run(self, models: frozenset[str]) -> None:
        """Watch until cancelled; first bring forward what a model that is new could do."""
        await self._kept_up(lambda: self._welcome(models))
        while True:
            self._parking.changed.clear()
            wait_s = await self._kept_up(self.step)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._parking.changed.wait()

    async def step(self) -> float:
        """Go on with every run that is due; returns after how many seconds to look again."""
        runs = await self._brought_forward(await self._parking.list())
        now = self._parking.now()
        time = asyncio.get_running_loop().time()
        self._not_before = {
            run.thread_id: self._not_before[run.thread_id]
            for run in runs
            if run.thread_id in self._not_before
        }
        due = [
            run
            for run in runs
            if run.resume_at <= now and self._not_before.get(run.thread_id, time) <= time
        ]
        due.sort(key=lambda run: (_RANKS[run.priority], run.resume_at))
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._go_on(run, gate) for run in due))
        return self._wait_s(await self._parking.list())

    async def _brought_forward(self, runs: list[ParkedRun]) -> list[ParkedRun]:
        """The runs; those for which a model has room again since the last look are due now.

        Only what has changed counts: what finds too little room all the same keeps its time then.
        """
        if self._ready is None or not runs:
            self._were_ready = None
            return runs
        ready = await self._ready()
        before = ready if self._were_ready is None else self._were_ready
        fresh, self._were_ready = ready - before, ready
        now = self._parking.now()
        waiting = [r for r in runs if r.resume_at > now and fresh.intersection(r.waiting_for)]
        # The others keep times of their own, which were given so that not all come at once.
        waiting = sorted(waiting, key=lambda r: (_RANKS[r.priority], r.since))[
            : AT_ONCE * len(fresh)
        ]
        for run in waiting:
            await self._parking.move(run, now)
        return await self._parking.list() if waiting else runs

    async def _go_on(self, run: ParkedRun, gate: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with gate, asyncio.timeout(RESUME_TIMEOUT_S), for_owner_of(run.thread_id):
                outcome = await ParkedThreads(self._parking, self._client()).resume(run.thread_id)
        except (httpx.HTTPError, TimeoutError) as error:
            # While the server is starting nobody answers yet.
            logger.info("thread %s cannot go on yet: %r", run.thread_id, error)
            self._failures[run.thread_id] += 1
            outcome = Outcome.BUSY
        if outcome is Outcome.BUSY:
            retry_s = RETRY_S * 1.5 ** self._failures[run.thread_id]
            self._not_before[run.thread_id] = loop.time() + min(retry_s, LONGEST_RETRY_S)
            return
        del self._failures[run.thread_id]
        self._not_before.pop(run.thread_id, None)
        late_s = (self._parking.now() - run.resume_at).total_seconds()
        logger.info("parked thread %s: %s, %.2f s late", run.thread_id, outcome.value, late_s)

    def _wait_s(self, runs: list[ParkedRun]) -> float:
        """Until the next run is due, or a busy thread may be looked at again."""
        time = asyncio.get_running_loop().time()
        now = self._parking.now()
        waits = [
            max(
                (run.resume_at - now).total_seconds(), self._not_before.get(run.thread_id, 0) - time
            )
            for run in runs
        ]
        return max(0.0, min([LONGEST_SLEEP_S, *waits]))

    async def _welcome(self, models: frozenset[str]) -> float:
        """Whatever was parked before a model came that can be asked now is tried at once."""
        now = self._parking.now()
        for run in await self._parking.list():
            if run.resume_at > now and models - set(run.known_models):
                await self._parking.move(run, now - timedelta(milliseconds=1))
        return 0.0

    async def _kept_up(self, work: Callable[[], Awaitable[float]]) -> float:
        """The result of `work`; while the database is away, nothing but a line in the log."""
        try:
            found = await work()
        except psycopg.Error as error:
            if self._told != (told := f"{error}"):
                self._told = told
                logger.warning("Parked runs cannot be looked after: %s", error)
            return RETRY_S
        self._told = None
        return found


@asynccontextmanager
async def parked_runs_resumed(used: Engine) -> AsyncIterator[None]:
    """Inside the block, parked runs of this server go on at their time."""
    models = frozenset(model.ref for model in used.chain.models() if model.on)
    resumption = Resumption(used.parking, loopback.client, lambda: ready_models(used))
    watch = asyncio.create_task(resumption.run(models))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait((watch,))
