"""A server shows the others that its process is there: by a lock that the database holds for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import structlog
from psycopg import AsyncConnection

from potluck.server.lease_terms import PRESENCE_LOCK

CONNECT_TIMEOUT_S = 3
ASK_EVERY_S = 2.0
ASK_TIMEOUT_S = 5.0
RETRY_S = 0.5
# The database itself notices within this that a machine has gone without a word
_KEEPALIVE = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"

logger = structlog.get_logger(__name__)


@asynccontextmanager
async def shown(url: str, name: str) -> AsyncIterator[None]:
    """Inside the block the server of that name is there for all who watch."""
    is_shown = asyncio.Event()
    task = asyncio.create_task(_show(url, name, is_shown))
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await is_shown.wait()
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _show(url: str, name: str, is_shown: asyncio.Event) -> None:
    while True:
        try:
            async with (
                asyncio.timeout(None) as limit,
                await AsyncConnection.connect(
                    url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, options=_KEEPALIVE
                ) as connection,
            ):
                await connection.execute(
                    "SELECT pg_advisory_lock(%s, hashtext(%s))", [PRESENCE_LOCK, name]
                )
                is_shown.set()
                await _stay(connection, limit)
        except (psycopg.Error, OSError) as error:
            logger.info("This server is not shown as there.", reason=repr(error))
        await asyncio.sleep(RETRY_S)


async def _stay(connection: AsyncConnection, limit: asyncio.Timeout) -> None:
    """Ask now and then, so that a broken connection is noticed. Raises when it is."""
    while True:
        await asyncio.sleep(ASK_EVERY_S)
        limit.reschedule(asyncio.get_running_loop().time() + ASK_TIMEOUT_S)
        await connection.execute("SELECT 1")
        limit.reschedule(None)
