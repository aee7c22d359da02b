"""Turns on one thread come one after another over all servers, by a lock in Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aegra_api.core.redis_manager import redis_manager
from redis import RedisError
from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from potluck.server.thread_queue import ThreadBusyError

PREFIX = "potluck:turn:"
# A server that died in the middle of a turn holds it for this long
HOLD_S = 10.0
RENEW_EVERY_S = 3.0
ASK_EVERY_S = 0.05

logger = structlog.get_logger(__name__)


@asynccontextmanager
async def kept_from_others(thread_id: str, longest_s: float) -> AsyncIterator[None]:
    """Inside the block no other server has a turn on the thread. Raises ThreadBusyError."""
    lock = Lock(
        redis_manager.get_client(), f"{PREFIX}{thread_id}", timeout=HOLD_S, sleep=ASK_EVERY_S
    )
    try:
        is_ours = await lock.acquire(blocking_timeout=longest_s)
    except (RedisError, OSError) as error:
        # Without Redis no run begins, either: it says so itself
        logger.warning("Turns are not kept apart from other servers'.", reason=repr(error))
        yield
        return
    if not is_ours:
        raise ThreadBusyError.after(longest_s)
    renewal = asyncio.create_task(_renew(lock))
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.wait({renewal})
        # One that ran out is another's by now
        with contextlib.suppress(LockError, RedisError, OSError):
            await lock.release()


async def _renew(lock: Lock) -> None:
    while True:
        await asyncio.sleep(RENEW_EVERY_S)
        try:
            await lock.reacquire()
        except (LockError, RedisError, OSError) as error:
            logger.warning("A turn could not be kept.", reason=repr(error))
