"""Servers that start together make tables and assistants one after another, or would collide."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aegra_api import main
from aegra_api.core.database import DatabaseManager
from aegra_api.services.langgraph_service import LangGraphService
from aegra_api.settings import settings
from psycopg import AsyncConnection

# Any number that no other lock of Potluck uses
START_LOCK = 7_105_116_112
CONNECT_TIMEOUT_S = 5
LONGEST_S = 120.0
ASK_EVERY_S = 0.1


def make_tables_in_turn() -> None:
    """From now on Aegra makes its tables, LangGraph's and the assistants while nobody else does."""
    main.run_migrations_async = _in_turn(main.run_migrations_async)
    DatabaseManager.initialize = _in_turn(DatabaseManager.initialize)
    LangGraphService.initialize = _in_turn(LangGraphService.initialize)


def _in_turn[**Arguments](
    work: Callable[Arguments, Awaitable[None]],
) -> Callable[Arguments, Awaitable[None]]:
    async def done(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        async with _turn():
            await work(*args, **kwargs)

    return done


@asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    """Raises psycopg.Error when the database is away, TimeoutError when others take too long."""
    async with await AsyncConnection.connect(
        settings.db.database_url_sync, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
    ) as connection:
        async with asyncio.timeout(LONGEST_S):
            # Whoever waits inside a statement would hold up the other's CREATE INDEX CONCURRENTLY
            while not await _is_ours(connection):  # noqa: ASYNC110 - the lock is another process's
                await asyncio.sleep(ASK_EVERY_S)
        # The lock ends with the connection
        yield


async def _is_ours(connection: AsyncConnection) -> bool:
    rows = await connection.execute("SELECT pg_try_advisory_lock(%s)", [START_LOCK])
    found = await rows.fetchone()
    return found is not None and bool(found[0])
