"""A run under way outlasts an outage of the database: what it reads and writes is tried again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
import structlog
from aegra_api.core.database import db_manager
from aegra_api.services import run_executor
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.base import CheckpointTuple as Saved
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from potluck.pool import RECONNECT_TIMEOUT_S

RETRY_S = 1.0
# A database that is away for longer than this fails the run; the next start takes it up again
LONGEST_S = 600.0
# Whoever waits for a connection asks anew after this: the pool looks for a way only then
POOL_TIMEOUT_S = 3.0
# It was not reached, or went away in the middle
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeoutError, OSError)

logger = structlog.get_logger(__name__)


async def outlast[Result](
    work: Callable[[], Awaitable[Result]],
    *,
    retry_s: float = RETRY_S,
    longest_s: float = LONGEST_S,
) -> Result:
    """The result of `work`, which may be done twice, tried until the database is back.

    Raises what it raises when that is no outage, or lasts for too long.
    """
    loop = asyncio.get_running_loop()
    ends_s: float | None = None
    while True:
        try:
            found = await work()
        except (*_AWAY, DBAPIError) as error:
            if not _is_outage(error):
                raise
            if ends_s is None:
                ends_s = loop.time() + longest_s
                logger.warning("The database is out: a run waits for it.", reason=repr(error))
            if loop.time() >= ends_s:
                raise
            await asyncio.sleep(retry_s)
        else:
            return found


def _is_outage(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return True
    # asyncpg's words for it come in SQLAlchemy's wrapping
    return error.connection_invalidated or "connection" in str(error.orig).lower()


class LastingSaver(AsyncPostgresSaver):
    """A checkpointer that waits for the database. Each of these writes is the same twice."""

    async def aget_tuple(self, config: RunnableConfig) -> Saved | None:
        """As the checkpointer does."""
        return await outlast(lambda: super(LastingSaver, self).aget_tuple(config))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As the checkpointer does."""
        return await outlast(
            lambda: super(LastingSaver, self).aput(config, checkpoint, metadata, new_versions)
        )

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],  # Any: the checkpointer's own signature
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As the checkpointer does."""
        await outlast(
            lambda: super(LastingSaver, self).aput_writes(config, writes, task_id, task_path)
        )


def outlast_outages() -> None:
    """From now on this process's runs wait for the database when it is out."""
    saver, pool = db_manager.get_checkpointer(), db_manager.lg_pool
    if pool is not None:
        pool.reconnect_timeout, pool.timeout = RECONNECT_TIMEOUT_S, POOL_TIMEOUT_S
    if not isinstance(saver, LastingSaver):
        db_manager._checkpointer = LastingSaver(saver.conn, serde=saver.serde)  # noqa: SLF001 - Aegra has no other way to it
        run_executor.start_run = _lasting(run_executor.start_run)
        run_executor.finalize_run = _lasting(run_executor.finalize_run)


def _lasting[**Arguments](
    write: Callable[Arguments, Awaitable[bool]],
) -> Callable[Arguments, Awaitable[bool]]:
    async def written(*args: Arguments.args, **kwargs: Arguments.kwargs) -> bool:
        return await outlast(lambda: write(*args, **kwargs))

    return written
