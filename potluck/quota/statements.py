"""Single statements on the pool that are neither cut short by cancelling nor waited for long."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow

from potluck.pool import Pool

# psycopg cancels a statement within 10 s, or closes the connection.
_CANCEL_S = 12.0
# Whoever has to queue for a connection is not told of an outage, but does not queue for ever.
_LONGEST_S = 20.0
# An event loop that is later than this was busy itself.
_STALL_S = 0.1


class Statements:
    """Runs statements of which each is a transaction, in tasks of their own."""

    def __init__(self, pool: Pool, *, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[object]] = set()
        self._answered_s = 0.0

    async def fetch(self, statement: LiteralString, arguments: Sequence[object]) -> TupleRow:
        """The only row of the statement's result.

        When the caller is cancelled the statement runs on; when the database answers nothing for
        the time limit it is cancelled, but not waited for. A time in which it answered others, or
        in which this process was too busy to listen, does not count. Raises psycopg.Error or
        TimeoutError.
        """
        task = asyncio.create_task(self._run(statement, arguments))
        self.keep(task)
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + max(_LONGEST_S, self._timeout_s)
        is_silent = False
        while not is_silent:
            asked_s = loop.time()
            done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
            if done:
                return task.result()
            was_busy = loop.time() - asked_s > self._timeout_s + _STALL_S
            is_silent = not was_busy and (self._answered_s < asked_s or loop.time() > ends_s)
        task.cancel()
        raise TimeoutError(f"the database did not answer within {self._timeout_s} s")

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Let it run beside everything else, until `drain`."""
        self.keep(asyncio.create_task(work))

    def keep(self, task: "asyncio.Task[TupleRow] | asyncio.Task[None]") -> None:
        """Hold on to the task until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def drain(self) -> None:
        """Wait for what still runs, but not for ever."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._timeout_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_S)

    async def _run(self, statement: LiteralString, arguments: Sequence[object]) -> TupleRow:
        async with self._pool.connection(timeout=_LONGEST_S) as connection:
            cursor = await connection.execute(statement, arguments, prepare=True)
            row = await cursor.fetchone()
        self._answered_s = asyncio.get_running_loop().time()
        if row is None:
            raise psycopg.DataError("the statement gave no row")
        return row

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever waited for it has seen it; nobody may be left to.
            task.exception()
