"""Single statements on the pool that are neither cut short by cancelling nor waited for long."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow

from potluck.pool import Pool

# psycopg cancels a statement within 10 s, or closes the connection.
_CANCEL_S = 12.0


class Statements:
    """Runs statements of which each is a transaction, in tasks of their own."""

    def __init__(self, pool: Pool, *, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[object]] = set()

    async def fetch(self, statement: LiteralString, arguments: Sequence[object]) -> TupleRow:
        """The only row of the statement's result.

        When the caller is cancelled the statement runs on; when it takes longer than the time
        limit it is cancelled, but not waited for. Raises psycopg.Error or TimeoutError.
        """
        task = asyncio.create_task(self._run(statement, arguments))
        self.keep(task)
        done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
        if not done:
            task.cancel()
            raise TimeoutError(f"the database did not answer within {self._timeout_s} s")
        return task.result()

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
        async with self._pool.connection(timeout=self._timeout_s) as connection:
            cursor = await connection.execute(statement, arguments, prepare=True)
            row = await cursor.fetchone()
        if row is None:
            raise psycopg.DataError("the statement gave no row")
        return row

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever waited for it has seen it; nobody may be left to.
            task.exception()
