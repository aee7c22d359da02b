"""While a server runs, what has been kept for too long goes by itself, once an hour."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import psycopg

from potluck.engine import Engine
from potluck.errors import DatabaseError
from potluck.server import loopback
from potluck.server.address import served
from potluck.server.ownership import for_owner_of
from potluck.server.parked_threads import Outcome, ParkedThreads
from potluck.server.retention import PruneBusyError, Sweep, Swept

# A server that has just started has other things to do
FIRST_AFTER_S = 300.0
EVERY_S = 3600.0
GIVE_UP_TIMEOUT_S = 30.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def old_things_swept(used: Engine) -> AsyncIterator[None]:
    """Inside the block, a server's data is looked through once an hour, by one of its replicas."""
    if served() is None or used.pool is None:
        yield
        return
    url = _url()
    watch = asyncio.create_task(_keep_sweeping(lambda: _sweep(used, url)))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait((watch,))


async def _keep_sweeping(
    sweep: Callable[[], Awaitable[Sequence[Swept]]],
    *,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    await sleep(FIRST_AFTER_S)
    while True:
        try:
            swept = await sweep()
        except PruneBusyError:
            # Another replica has just done it
            swept = ()
        except DatabaseError as error:
            logger.warning("%s It is tried again in an hour.", error)
            swept = ()
        for one in swept:
            if one.old or one.beyond:
                logger.info("%s: %d too old, %d beyond the size", one.kind, one.old, one.beyond)
        await sleep(EVERY_S)


async def _sweep(used: Engine, url: str) -> Sequence[Swept]:
    async def give_up(thread_id: str) -> bool:
        return await _give_up(used, thread_id)

    sweep = Sweep(used.catalog, used.home, _now, give_up=give_up, forget=used.runner.forget)
    return await sweep.run(url)


async def _give_up(used: Engine, thread_id: str) -> bool:
    try:
        async with asyncio.timeout(GIVE_UP_TIMEOUT_S), for_owner_of(thread_id):
            outcome = await ParkedThreads(used.parking, loopback.client()).cancel(thread_id)
    except (httpx.HTTPError, psycopg.Error, TimeoutError) as error:
        logger.warning("Thread %s stays parked: %r", thread_id, error)
        return False
    return outcome is not Outcome.BUSY


def _now() -> datetime:
    return datetime.now(UTC)


def _url() -> str:
    # At import it reads its settings, which are there only once the server has started
    from aegra_api.settings import settings  # noqa: PLC0415

    return str(settings.db.database_url_sync)
