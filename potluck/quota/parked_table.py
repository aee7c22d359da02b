"""The table of parked runs in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from potluck.pool import Pool
from potluck.quota.parked_run import ParkedRun

# The first key of our locks on threads; any number that no other lock of Potluck uses
_LOCK_CLASS = 1_885_434_475

_PUT = """
INSERT INTO parked_runs AS held (thread_id, run_id, resume_at, since, reason, waiting_for,
                                 known_models, context, recursion_limit, times)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (thread_id) DO UPDATE SET
    run_id = excluded.run_id,
    resume_at = CASE WHEN held.run_id = excluded.run_id
        THEN least(held.resume_at, excluded.resume_at) ELSE excluded.resume_at END,
    since = CASE WHEN held.run_id = excluded.run_id
        THEN least(held.since, excluded.since) ELSE excluded.since END,
    reason = excluded.reason,
    waiting_for = CASE WHEN held.run_id = excluded.run_id
        THEN held.waiting_for || ARRAY(
            SELECT ref FROM unnest(excluded.waiting_for) AS ref WHERE ref <> ALL (held.waiting_for)
        )
        ELSE excluded.waiting_for END,
    known_models = excluded.known_models,
    context = excluded.context,
    recursion_limit = excluded.recursion_limit,
    times = CASE WHEN held.run_id = excluded.run_id
        THEN greatest(held.times, excluded.times) ELSE excluded.times END
"""
_READ = "SELECT * FROM parked_runs WHERE %(thread)s::text IS NULL OR thread_id = %(thread)s"
_REMOVE = "DELETE FROM parked_runs WHERE thread_id = %s AND run_id = %s"
_MOVE = "UPDATE parked_runs SET resume_at = %s WHERE thread_id = %s AND run_id = %s"
_LOCK = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
_UNLOCK = "SELECT pg_advisory_unlock(%s, hashtext(%s))"


class ParkedTable:
    """Keeps parked runs in the table `parked_runs`. May raise psycopg.Error."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, run: ParkedRun) -> None:
        """Keep it, joined with what is kept of its thread, as `ParkedRun.joined` does."""
        values = (
            run.thread_id,
            run.run_id,
            run.resume_at,
            run.since,
            run.reason,
            list(run.waiting_for),
            list(run.known_models),
            Jsonb(dict(run.context)),
            run.recursion_limit,
            run.times,
        )
        async with self._pool.connection() as connection:
            await connection.execute(_PUT, values)

    async def read(self, thread_id: str | None = None) -> list[ParkedRun]:
        """Those of one thread, or all."""
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=kwargs_row(_run)) as cursor,
        ):
            await cursor.execute(_READ, {"thread": thread_id})
            return await cursor.fetchall()

    async def remove(self, run: ParkedRun) -> None:
        """Forget it, unless its thread holds another run by now."""
        async with self._pool.connection() as connection:
            await connection.execute(_REMOVE, (run.thread_id, run.run_id))

    async def move(self, run: ParkedRun, resume_at: datetime) -> None:
        """Have it go on at another time, unless its thread holds another run by now."""
        async with self._pool.connection() as connection:
            await connection.execute(_MOVE, (resume_at, run.thread_id, run.run_id))

    @asynccontextmanager
    async def lock(self, thread_id: str) -> AsyncIterator[bool]:
        """Whether the thread is ours alone inside the block: a lock of the database's session."""
        async with self._pool.connection() as connection:
            rows = await connection.execute(_LOCK, (_LOCK_CLASS, thread_id))
            (is_ours,) = await rows.fetchone() or (False,)
            try:
                yield is_ours
            finally:
                if is_ours:
                    await connection.execute(_UNLOCK, (_LOCK_CLASS, thread_id))


def _run(
    *,
    waiting_for: list[str],
    known_models: list[str],
    **columns: Any,  # the other columns, as psycopg reads them
) -> ParkedRun:
    return ParkedRun(waiting_for=tuple(waiting_for), known_models=tuple(known_models), **columns)
