"""A tool call that changes something is made once: one that was cut off is not repeated."""

import asyncio
import logging
import secrets
from dataclasses import dataclass

import psycopg
from langchain_core.runnables import RunnableConfig

from potluck.pool import Pool

CUT_OFF = (
    "The server stopped while this call was running, and it was not made again: what it was to "
    "change may be changed already, in whole or in part. Look at what is there before you go on."
)
# A database that is away is waited for: what is not noted could be done twice
RETRY_S = 1.0
LONGEST_S = 600.0
KEPT_DAYS = 7

# What earlier runs of the thread did is of no use any more, nor what is old
_BEGIN = """
WITH forgotten AS (
    DELETE FROM deeds WHERE thread_id = %(thread)s AND run_id <> %(run)s
        OR begun_at < now() - make_interval(days => %(days)s)
)
INSERT INTO deeds (run_id, task_id, thread_id, attempt)
VALUES (%(run)s, %(task)s, %(thread)s, %(attempt)s)
ON CONFLICT (run_id, task_id) DO UPDATE SET begun_at = deeds.begun_at
    WHERE deeds.attempt = excluded.attempt
RETURNING true
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deed:
    """One tool call of one run: the same when another server goes on with that run."""

    run_id: str
    task_id: str
    thread_id: str

    @classmethod
    def of(cls, config: RunnableConfig) -> "Deed | None":
        """The call that this node makes; None where runs are not gone on with elsewhere."""
        known = config.get("configurable", {})
        run_id = known.get("run_id") or config.get("metadata", {}).get("run_id")
        task_id = str(known.get("checkpoint_ns") or "").rpartition(":")[2]
        thread_id = known.get("thread_id")
        if not (run_id and task_id and thread_id):
            return None
        return cls(str(run_id), task_id, str(thread_id))


async def begin(deed: Deed, pool: Pool) -> bool:
    """Note that the call begins; False when it had begun before, on a server that was cut off.

    Raises psycopg.Error when the database stays away.
    """
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + LONGEST_S
    values = {
        "run": deed.run_id,
        "task": deed.task_id,
        "thread": deed.thread_id,
        # The note may have been made although its answer did not come
        "attempt": secrets.token_hex(8),
        "days": KEPT_DAYS,
    }
    while True:
        try:
            async with pool.connection() as connection:
                rows = await connection.execute(_BEGIN, values)
                return await rows.fetchone() is not None
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if loop.time() >= ends_s:
                raise
            logger.info("A tool call waits for the database: %s", error)
            await asyncio.sleep(RETRY_S)
