"""Several servers on one database and one Redis: what Aegra is taught for it, before it starts."""

import asyncio
import contextlib

import structlog
from aegra_api.core.redis_manager import redis_manager
from aegra_api.services import worker_executor
from aegra_api.services.executor import executor
from aegra_api.services.lease_reaper import LeaseReaper
from aegra_api.services.worker_executor import WorkerExecutor
from aegra_api.settings import settings
from redis import RedisError

from potluck.server.address import served
from potluck.server.common_start import make_tables_in_turn
from potluck.server.leases import Leases, Reaper
from potluck.server.openai.responses.making import CONVERSATIONS
from potluck.server.run_claims import Claims
from potluck.server.run_stream import stream_whole
from potluck.server.shared_turns import kept_from_others
from potluck.server.thread_queue import TURNS

FIRST_ASK_S = 0.01
LONGEST_ASK_S = 0.25
ASK_DATABASE_EVERY_S = 2.0

logger = structlog.get_logger(__name__)


def work_together() -> None:
    """Have this process share its runs, threads and streams with the others of its kind."""
    assert isinstance(executor, WorkerExecutor)  # noqa: S101 - Redis is set, and Aegra chose it
    address = served()
    assert address is not None  # noqa: S101 - it was announced before
    executor._instance_id = address.name  # noqa: SLF001 - as below
    leases = Leases()
    claims = Claims(leases)
    release = worker_executor._release_lease  # noqa: SLF001 - Aegra's parts, which it leaves no other way to change

    async def let_go(run_id: str, name: str) -> None:
        await release(run_id, name)
        await claims.offer_next(run_id)

    reaper = Reaper()
    worker_executor._acquire_and_load = claims.claim  # noqa: SLF001 - as above
    worker_executor._heartbeat_loop = leases.keep  # noqa: SLF001 - as above
    worker_executor._release_lease = let_go  # noqa: SLF001 - as above
    LeaseReaper._reap = lambda _: reaper.reap()  # noqa: SLF001 - as above
    WorkerExecutor.wait_for_completion = _wait_for_end
    make_tables_in_turn()
    stream_whole()
    TURNS.share(kept_from_others)
    CONVERSATIONS.share(kept_from_others)


def take_no_more() -> None:
    """From now on this server takes no runs; those that it has go on."""
    if isinstance(executor, WorkerExecutor):
        executor._running = False  # noqa: SLF001 - as above


async def _wait_for_end(_: WorkerExecutor, run_id: str, *, timeout: float = 300.0) -> None:  # noqa: ASYNC109 - Aegra's signature
    """Return when the run has ended, as Aegra does, but soon after. Raises TimeoutError."""
    done = f"{settings.redis.REDIS_CHANNEL_PREFIX}done:{run_id}"
    loop = asyncio.get_running_loop()
    ask_s, database_at_s = FIRST_ASK_S, loop.time() + ASK_DATABASE_EVERY_S
    async with asyncio.timeout(timeout):
        while True:
            with contextlib.suppress(RedisError):
                if await redis_manager.get_client().exists(done):
                    return
            if loop.time() >= database_at_s:
                database_at_s = loop.time() + ASK_DATABASE_EVERY_S
                if await worker_executor._is_run_terminal(run_id):  # noqa: SLF001 - as above
                    return
            await asyncio.sleep(ask_s)
            ask_s = min(ask_s * 1.5, LONGEST_ASK_S)
