"""Threads that nobody has used for long, and the pasts of threads, which are thinned.

A thread is locked while it is looked at and changed: a run that is to begin on it waits until then.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from langgraph.checkpoint.postgres.base import PRUNE_DELTA_THREADS_SQL
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from potluck.providers.catalog import Retention
from potluck.server.retention_checkpoints import thin
from potluck.server.run_marks import STATELESS

# What was used within this time stays, however much there is
LEAST_AGE = timedelta(days=1)
# A thread that was made for one run goes with it; when its caller left before, after the first.
# Those that were used last before the second have been looked at already.
STATELESS_AGE, STATELESS_SEEN = timedelta(hours=1), timedelta(days=7)
# Whoever used a thread just now may be about to go on from a place in its past
QUIET = timedelta(minutes=10)
DELTA_THREADS_AT_ONCE = 500

AT_WORK = """(
    EXISTS (SELECT FROM parked_runs AS p WHERE p.thread_id = {thread})
    OR EXISTS (SELECT FROM public.runs AS r WHERE r.thread_id = {thread}
               AND r.status IN ('pending', 'running'))
    OR EXISTS (SELECT FROM public.crons AS c WHERE c.thread_id = {thread} AND c.enabled)
)"""
_LAST_USE = """greatest(t.updated_at, t.created_at, (
    SELECT max(r.updated_at) FROM public.runs AS r WHERE r.thread_id = t.thread_id))"""
_OLD = f"""
SELECT t.thread_id FROM public.thread AS t
WHERE t.updated_at < %(old)s AND {_LAST_USE} < %(old)s AND t.status <> 'busy'
    AND NOT {AT_WORK.format(thread="t.thread_id")}
"""  # noqa: S608 - made of constants, as all statements here
_MARK = {"run_metadata": {STATELESS: True}}
_STATELESS = f"""
SELECT t.thread_id FROM public.thread AS t
WHERE t.updated_at BETWEEN %(seen)s AND %(quiet)s AND {_LAST_USE} < %(quiet)s
    AND t.status <> 'busy' AND NOT {AT_WORK.format(thread="t.thread_id")}
    AND (SELECT bool_and(coalesce(r.execution_params, '{{}}') @> %(mark)s)
         FROM public.runs AS r WHERE r.thread_id = t.thread_id)
"""  # noqa: S608 - see above
_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
_SIZE = "SELECT " + " + ".join(
    f"pg_total_relation_size('public.{name}')" for name in (*_TABLES, "thread")
)
_SIZES = """
SELECT thread_id, sum(size)::bigint AS size FROM (
    SELECT thread_id, pg_column_size(checkpoint) + pg_column_size(metadata) + 150 AS size
    FROM public.checkpoints
    UNION ALL SELECT thread_id, coalesce(pg_column_size(blob), 0) + 150
    FROM public.checkpoint_blobs
    UNION ALL SELECT thread_id, pg_column_size(blob) + 150 FROM public.checkpoint_writes
    UNION ALL SELECT thread_id, coalesce(pg_column_size(metadata_json), 0) + 150
    FROM public.thread
) AS rows GROUP BY thread_id
"""
# The oldest use first, with what all threads after it take together
_LARGE = f"""
WITH sizes AS ({_SIZES}), used AS (
    SELECT t.thread_id, {_LAST_USE} AS at, coalesce(s.size, 0) AS size, t.status
    FROM public.thread AS t LEFT JOIN sizes AS s USING (thread_id)
)
SELECT thread_id, size FROM (
    SELECT *, sum(size) OVER (ORDER BY at DESC, thread_id) AS total FROM used
) AS summed
WHERE total > %(most)s AND at < %(recent)s AND status <> 'busy'
    AND NOT {AT_WORK.format(thread="summed.thread_id")}
"""  # noqa: S608 - see above
_SIZES_OF = f"SELECT coalesce(sum(size), 0) FROM ({_SIZES}) AS s WHERE thread_id = ANY(%s)"  # noqa: S608 - see above
_LOCK = "SELECT FROM public.thread WHERE thread_id = %s FOR UPDATE SKIP LOCKED"
# A statement of its own, after the lock: it sees what came until then
_IS_FREE = f"""
SELECT FROM public.thread AS t
WHERE t.thread_id = %(thread)s AND t.status <> 'busy' AND {_LAST_USE} < %(quiet)s
    AND NOT {AT_WORK.format(thread="t.thread_id")}
"""
_LONG = """
SELECT DISTINCT thread_id FROM (
    SELECT thread_id FROM public.checkpoints GROUP BY thread_id, checkpoint_ns
    HAVING count(*) > %(most)s + 1 OR (count(*) > 1 AND min(checkpoint_id) < %(oldest)s)
) AS long
"""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Gone:
    """Threads that went: how many for their age, for the size of all, and which."""

    old: int = 0
    beyond: int = 0
    size_bytes: int = 0
    thread_ids: list[str] = field(default_factory=list)


class Threads:
    """The threads of one database, at one moment. May raise psycopg.Error."""

    def __init__(
        self, connection: AsyncConnection, policy: Retention, now: datetime, *, dry: bool
    ) -> None:
        self._connection = connection
        self._policy = policy
        self._now = now
        self._dry = dry

    async def delete(self) -> Gone:
        """Delete those not used for too long, then, while all are too large, the oldest."""
        gone = Gone()
        old = self._now - timedelta(days=self._policy.thread_days)
        await self._delete_due(gone, _OLD, {"old": old}, quiet=old)
        quiet = self._now - STATELESS_AGE
        values = {"seen": self._now - STATELESS_SEEN, "quiet": quiet, "mark": Jsonb(_MARK)}
        await self._delete_due(gone, _STATELESS, values, quiet=quiet)
        large = {one: size for one, size in await self._large() if one not in gone.thread_ids}
        beyond = await self._deleted(large, quiet=self._now - LEAST_AGE)
        gone.beyond = len(beyond)
        gone.size_bytes += sum(large[one] for one in beyond)
        gone.thread_ids += beyond
        return gone

    async def _delete_due(
        self, gone: Gone, query: str, values: Mapping[str, object], *, quiet: datetime
    ) -> None:
        rows = await (await self._connection.execute(query.encode(), values)).fetchall()
        due = [str(one) for (one,) in rows if one not in gone.thread_ids]
        if due:
            sizes = await (await self._connection.execute(_SIZES_OF, [due])).fetchone()
            gone.size_bytes += int((sizes or (0,))[0])
        deleted = await self._deleted(due, quiet=quiet)
        gone.thread_ids += deleted
        gone.old += len(deleted)

    async def thin(self) -> tuple[int, int]:
        """Thin the pasts that are too long: the checkpoints that went for age, and for number."""
        oldest = checkpoint_id_at(self._now - timedelta(days=self._policy.checkpoint_days))
        most = self._policy.checkpoints_per_thread
        values = {"most": most, "oldest": oldest}
        rows = await (await self._connection.execute(_LONG, values)).fetchall()
        threads = await self._without_delta([str(one) for (one,) in rows])
        old = beyond = 0
        for thread_id in threads:
            async with self._locked(thread_id, quiet=self._now - QUIET) as is_free:
                if is_free:
                    went = await thin(self._connection, thread_id, most, oldest, dry=self._dry)
                    old, beyond = old + went[0], beyond + went[1]
        return old, beyond

    async def _large(self) -> list[tuple[str, int]]:
        most = int(self._policy.threads_megabytes * 1e6)
        # Cheap, and never too small: it counts indexes and what was deleted, too
        total = await (await self._connection.execute(_SIZE)).fetchone()
        if total is None or total[0] <= most:
            return []
        values = {"most": most, "recent": self._now - LEAST_AGE}
        rows = await (await self._connection.execute(_LARGE, values)).fetchall()
        return [(str(thread_id), int(size)) for thread_id, size in rows]

    async def _deleted(self, thread_ids: Iterable[str], *, quiet: datetime) -> list[str]:
        """Those of the threads that could go: nobody has come to them since they were looked at."""
        deleted = []
        for thread_id in thread_ids:
            async with self._locked(thread_id, quiet=quiet) as is_free:
                if not is_free:
                    continue
                deleted.append(thread_id)
                if not self._dry:
                    await self._delete_rows(thread_id)
        return deleted

    async def _delete_rows(self, thread_id: str) -> None:
        for name in _TABLES:
            await self._connection.execute(
                SQL("DELETE FROM {name} WHERE thread_id = %s").format(
                    name=Identifier("public", name)
                ),
                [thread_id],
            )
        await self._connection.execute(
            "DELETE FROM public.thread WHERE thread_id = %s", [thread_id]
        )

    @asynccontextmanager
    async def _locked(self, thread_id: str, *, quiet: datetime) -> AsyncIterator[bool]:
        """Whether the thread is ours in the block: not at work, and not used since `quiet`."""
        async with self._connection.transaction():
            held = await self._connection.execute(_LOCK, [thread_id])
            if not held.rowcount:
                yield False
                return
            values = {"thread": thread_id, "quiet": quiet}
            yield bool((await self._connection.execute(_IS_FREE, values)).rowcount)

    async def _without_delta(self, thread_ids: list[str]) -> list[str]:
        """Those whose checkpoints stand for themselves, which a DeltaChannel's do not."""
        found: set[str] = set()
        for start in range(0, len(thread_ids), DELTA_THREADS_AT_ONCE):
            some = thread_ids[start : start + DELTA_THREADS_AT_ONCE]
            rows = await self._connection.execute(PRUNE_DELTA_THREADS_SQL.encode(), (some, some))
            found.update(str(one) for (one,) in await rows.fetchall())
        if found:
            logger.info("%d threads use a DeltaChannel: they are not thinned.", len(found))
        return [one for one in thread_ids if one not in found]


def checkpoint_id_at(moment: datetime) -> str:
    """The least id that a checkpoint made at that moment can have: a UUID of version 6."""
    # 100 ns since the beginning of the Gregorian calendar
    ticks = int(moment.timestamp() * 10_000_000) + 0x01B21DD213814000
    high = f"{ticks >> 12:012x}"
    return f"{high[:8]}-{high[8:]}-6{ticks & 0xFFF:03x}-0000-000000000000"
