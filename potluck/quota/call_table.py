"""Calls kept in PostgreSQL, for all replicas together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from potluck.errors import DatabaseError
from potluck.pool import Pool
from potluck.quota.call_hours import HourSum
from potluck.quota.call_sums import CallSum, PricedCall

TIMEOUT_S = 5.0
FORGOTTEN_AT_ONCE = 10_000

_log = logging.getLogger(__name__)

# One statement, so that a row and its part of the sums are written together or not at all, and a
# batch whose answer was lost can be sent again. Sums are locked in one order: replicas meet there.
_WRITE = """
WITH new AS (
    INSERT INTO calls
    SELECT * FROM jsonb_populate_recordset(NULL::calls, %s)
    ON CONFLICT DO NOTHING
    RETURNING *
)
INSERT INTO call_days AS kept
SELECT (at AT TIME ZONE 'UTC')::date, provider, model, tenant, task_type, outcome,
       count(*), sum(input_tokens), sum(output_tokens), coalesce(sum(cost_usd), 0),
       count(*) FILTER (WHERE cost_usd IS NULL), sum(duration_s),
       count(*) FILTER (WHERE parts > 1), coalesce(sum(parts) FILTER (WHERE parts > 1), 0)
FROM new
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT (day, provider, model, tenant, task_type, outcome) DO UPDATE SET
    calls = kept.calls + excluded.calls,
    input_tokens = kept.input_tokens + excluded.input_tokens,
    output_tokens = kept.output_tokens + excluded.output_tokens,
    cost_usd = kept.cost_usd + excluded.cost_usd,
    unpriced = kept.unpriced + excluded.unpriced,
    duration_s = kept.duration_s + excluded.duration_s,
    batches = kept.batches + excluded.batches,
    batched_steps = kept.batched_steps + excluded.batched_steps
"""

# Whose calls count is told as `is_of` says it.
_SUMS = """
SELECT day, provider, model, outcome, sum(calls)::bigint AS calls,
       sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
       sum(cost_usd) AS cost_usd, sum(unpriced)::bigint AS unpriced,
       sum(duration_s) AS duration_s, sum(batches)::bigint AS batches,
       sum(batched_steps)::bigint AS batched_steps
FROM call_days WHERE day >= %(since)s AND (
    %(tenant)s::text IS NULL OR tenant = %(tenant)s OR starts_with(tenant, %(tenant)s || ':')
)
GROUP BY day, provider, model, outcome
ORDER BY day, provider, model, outcome
"""

_HOURS = """
SELECT date_trunc('hour', at, 'UTC') AS hour, max(at) AS last_at,
       (date_trunc('hour', at, 'UTC') AT TIME ZONE 'UTC')::date AS day,
       provider, model, outcome, error, count(*) AS calls,
       sum(input_tokens)::bigint AS input_tokens, sum(output_tokens)::bigint AS output_tokens,
       coalesce(sum(cost_usd), 0) AS cost_usd,
       count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced,
       sum(duration_s::double precision) AS duration_s,
       count(*) FILTER (WHERE parts > 1) AS batches,
       coalesce(sum(parts) FILTER (WHERE parts > 1), 0) AS batched_steps
FROM calls WHERE at >= %(since)s AND (
    %(tenant)s::text IS NULL OR tenant = %(tenant)s OR starts_with(tenant, %(tenant)s || ':')
)
GROUP BY 1, provider, model, outcome, error
ORDER BY 1, provider, model, outcome, error NULLS FIRST
"""

_FORGET = """
DELETE FROM calls WHERE (writer, number) IN (
    SELECT writer, number FROM calls WHERE at < %s LIMIT %s
)
"""


class CallTable:
    """The calls of all processes that use this database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._writer = str(uuid4())

    async def write(self, calls: Sequence[PricedCall]) -> None:
        """Keep the calls. Raises DatabaseError when it cannot now; then none of them is kept.

        A call with a figure that no column can hold is left out, and logged.
        """
        rows = [self._row(call) for call in calls]
        try:
            async with self._connection() as connection:
                await connection.execute(_WRITE, [Jsonb(rows)])
        except DatabaseError as error:
            if not isinstance(error.__cause__, psycopg.DataError):
                raise
            if len(calls) == 1:
                _log.warning("A call is left out of the usage history: %s", error)
                return
            for call in calls:
                await self.write([call])

    async def sums(self, since: date, tenant: str | None = None) -> list[CallSum]:
        """The sums of that day and those after it, oldest first. Raises DatabaseError."""
        async with (
            self._connection() as connection,
            connection.cursor(row_factory=class_row(CallSum)) as cursor,
        ):
            await cursor.execute(_SUMS, {"since": since, "tenant": tenant})
            return await cursor.fetchall()

    async def hours(self, since: datetime, tenant: str | None = None) -> list[HourSum]:
        """The sums of the calls from then on, oldest hour first. Raises DatabaseError."""
        async with (
            self._connection() as connection,
            connection.cursor(row_factory=class_row(HourSum)) as cursor,
        ):
            await cursor.execute(_HOURS, {"since": since, "tenant": tenant})
            return await cursor.fetchall()

    async def forget(self, before: datetime) -> None:
        """Drop the calls from before that moment; their sums stay. Raises DatabaseError."""
        deleted = FORGOTTEN_AT_ONCE
        while deleted == FORGOTTEN_AT_ONCE:
            async with self._connection() as connection:
                done = await connection.execute(_FORGET, [before, FORGOTTEN_AT_ONCE])
                deleted = done.rowcount

    def _row(self, call: PricedCall) -> dict[str, object]:
        record = call.record
        return {
            "writer": self._writer,
            "number": call.number,
            "at": record.at.astimezone(UTC).isoformat(),
            "provider": _storable(record.provider),
            "model": _storable(record.model),
            "key_id": record.key_id,
            "tenant": _storable(record.tenant),
            "task_type": record.task_type,
            "priority": record.priority,
            "outcome": record.outcome,
            "error": record.error,
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "cost_usd": call.cost_usd,
            "first_token_s": record.first_token_s,
            "duration_s": record.duration_s,
            "parts": record.parts,
        }

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        try:
            async with asyncio.timeout(TIMEOUT_S), self._pool.connection() as connection:
                yield connection
        except (psycopg.Error, TimeoutError) as error:
            reason = " ".join(str(error).split()) or "it took too long"
            raise DatabaseError(
                f"The usage history cannot be reached: {reason}.",
                fix="`potluck check` shows whether the database answers.",
            ) from error


def _storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold."""
    return text.replace("\0", "").encode(errors="replace").decode()
