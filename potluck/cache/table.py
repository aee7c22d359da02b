"""Answers kept in PostgreSQL, shared by all replicas; a slow or broken database keeps nothing."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

import psycopg

from potluck.cache.store import MOST_MARKS, CacheOptions, Kept, size_of
from potluck.pool import Pool

# A model would have begun to answer by then
PATIENCE_S = 0.2
REST_S = 5.0
CLOSE_TIMEOUT_S = 2.0
# So much of the cap is written by one process before it looks whether the table is too large
PRUNE_SHARE = 1 / 32

_FIND = """
WITH found AS (
    SELECT key, value, at, given FROM cached_answers WHERE key = %(key)s AND at > %(oldest)s
), used AS (
    UPDATE cached_answers AS answers SET used_at = %(now)s, given = CASE
        WHEN %(mark)s = '' OR %(mark)s = ANY (answers.given) THEN answers.given
        ELSE (array_append(answers.given, %(mark)s))[cardinality(answers.given) + 2 - %(most)s:]
        END
    FROM found WHERE answers.key = found.key
)
SELECT value, at, given FROM found
"""
_PUT = """
INSERT INTO cached_answers (key, value, size, at, used_at, given)
VALUES (%(key)s, %(value)s, %(size)s, %(now)s, %(now)s, %(given)s)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, size = excluded.size, at = excluded.at,
    used_at = excluded.used_at, given = excluded.given
"""
_REMOVE = "DELETE FROM cached_answers WHERE key = %(key)s"
_PRUNE = """
DELETE FROM cached_answers WHERE (SELECT pg_try_advisory_xact_lock(%(lock)s)) AND (
    at <= %(oldest)s OR key IN (
        SELECT key FROM (
            SELECT key, sum(size) OVER (ORDER BY used_at DESC, key) AS total FROM cached_answers
        ) AS ranked WHERE total > %(most)s
    )
)
"""

# Any number that nobody else locks: two that prune at once would stand in each other's way
_PRUNE_LOCK = 7_105_116_109

type Rows = list[tuple[object, ...]]

_log = logging.getLogger(__name__)


class TableStore:
    """A Store in PostgreSQL; beyond its size by no more than what is written between two looks."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._clock = clock
        self._under_way: set[asyncio.Task[Rows]] = set()
        self._rests_until = 0.0
        # The table may be full from earlier
        self._unpruned_bytes: float = float("inf")

    async def find(self, key: bytes, mark: str, options: CacheOptions) -> Kept | None:
        """The value, as it was before it is given to `mark`, which is noted."""
        now = self._clock()
        rows = await self._run(
            _FIND, key=key, mark=mark, now=now, oldest=now - options.ttl, most=MOST_MARKS
        )
        if not rows:
            return None
        value, at, given = rows[0]
        if not isinstance(value, bytes) or not isinstance(at, datetime):
            return None
        return Kept(value, at, tuple(given) if isinstance(given, list) else ())

    async def put(self, key: bytes, value: bytes, mark: str, options: CacheOptions) -> None:
        """Keep a value that was given to `mark`; room is made beside the calls."""
        size = size_of(value)
        given = [mark] if mark else []
        await self._run(_PUT, key=key, value=value, size=size, now=self._clock(), given=given)
        self._unpruned_bytes += size
        if self._unpruned_bytes > options.max_bytes * PRUNE_SHARE and not self._rests:
            self._unpruned_bytes = 0
            self._keep(asyncio.create_task(self._prune(options)))

    async def remove(self, key: bytes) -> None:
        """Forget a value."""
        await self._run(_REMOVE, key=key)

    async def aclose(self) -> None:
        """Let what is under way come to its end, or end it."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=CLOSE_TIMEOUT_S)
        for task in late:
            task.cancel()

    @property
    def _rests(self) -> bool:
        return asyncio.get_running_loop().time() < self._rests_until

    async def _run(self, statement: str, **values: object) -> Rows:
        """The rows that come back in time; none when the database is out."""
        if self._rests:
            return []
        # A task of its own: cancelling a statement waits for the server, and the caller must not
        task = self._keep(asyncio.create_task(self._execute(statement, values)))
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done or task.cancelled():
            task.cancel()
            self._rest(f"it did not answer within {PATIENCE_S:g} s")
            return []
        try:
            return task.result()
        except (psycopg.Error, OSError) as error:
            self._rest(" ".join(str(error).split()))
            return []

    async def _execute(self, statement: str, values: Mapping[str, object]) -> Rows:
        async with self._pool.connection(timeout=PATIENCE_S) as connection:
            cursor = await connection.execute(statement, values)
            return list(await cursor.fetchall()) if cursor.description else []

    async def _prune(self, options: CacheOptions) -> Rows:
        """Delete what is too old, and what was not used for longest beyond the size."""
        values = {
            "oldest": self._clock() - options.ttl,
            "most": options.max_bytes * (1 - PRUNE_SHARE),
            "lock": _PRUNE_LOCK,
        }
        try:
            return await self._execute(_PRUNE, values)
        except (psycopg.Error, OSError) as error:
            _log.warning("The cache could not be pruned: %s", error)
            return []

    def _rest(self, why: str) -> None:
        self._rests_until = asyncio.get_running_loop().time() + REST_S
        _log.warning("The cache is out for %g s: %s", REST_S, why)

    def _keep(self, task: asyncio.Task[Rows]) -> asyncio.Task[Rows]:
        """Hold on to the task until it is done."""
        self._under_way.add(task)
        task.add_done_callback(self._let_go)
        return task

    def _let_go(self, task: asyncio.Task[Rows]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # Nobody may be left to whom its failure could be told
            task.exception()
