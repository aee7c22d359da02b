"""A database that answers others is not out, however long one has to queue for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from potluck.pool import Pool
from potluck.quota.statements import Statements


class Connection:
    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s

    async def execute(self, *_: object, **__: object) -> "Connection":
        await asyncio.sleep(self._takes_s)
        return self

    async def fetchone(self) -> tuple[object, ...]:
        return (1,)


class OneConnection:
    """A pool with a single connection, each statement on which takes so long."""

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def connection(self, timeout: float) -> AsyncIterator[Connection]:  # noqa: ASYNC109 # the pool's
        async with asyncio.timeout(timeout), self._lock:
            yield Connection(self._takes_s)


def statements(takes_s: float) -> Statements:
    return Statements(cast("Pool", OneConnection(takes_s)), timeout_s=0.05)


async def test_queueing_for_a_connection_is_no_outage() -> None:
    asked = statements(0.02)
    rows: list[Any] = await asyncio.gather(*(asked.fetch("SELECT 1", ()) for _ in range(8)))
    assert rows == [(1,)] * 8


async def test_a_database_that_answers_nobody_is_out() -> None:
    asked = statements(10)
    with pytest.raises(TimeoutError, match="did not answer within"):
        await asked.fetch("SELECT 1", ())
    await asked.drain()


async def test_an_answer_that_came_while_this_process_was_busy_counts() -> None:
    asked = statements(0.01)
    waiting = asyncio.create_task(asked.fetch("SELECT 1", ()))
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    busy_until_s = loop.time() + 0.2
    while loop.time() < busy_until_s:
        pass
    assert await waiting == (1,)
