"""Tables whose rows go one by one, the oldest first."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed

from potluck.providers.catalog import Catalog
from potluck.server.retention_threads import AT_WORK

DELETED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what is in it, when a row was last of use, its bytes, and which may go at all."""

    kind: str
    name: LiteralString
    at: LiteralString
    size: LiteralString
    spare: LiteralString
    keep_for: Callable[[Catalog], timedelta]
    megabytes: Callable[[Catalog], float]
    needs_threads: bool = False


TABLES = (
    # A run carries what went in and came out; the last one of a thread stays as long as the thread
    Table(
        kind="runs",
        name="public.runs",
        at="created_at",
        size="coalesce(pg_column_size(input), 0) + coalesce(pg_column_size(output), 0)"
        " + coalesce(pg_column_size(execution_params), 0) + 300",
        spare="status NOT IN ('pending', 'running') AND EXISTS ("
        "SELECT FROM public.runs AS later WHERE later.thread_id = row.thread_id"
        " AND (later.created_at, later.run_id) > (row.created_at, row.run_id))"
        f" AND NOT {AT_WORK.format(thread='row.thread_id')}",
        keep_for=lambda catalog: timedelta(days=catalog.retention.run_days),
        megabytes=lambda catalog: catalog.retention.runs_megabytes,
        needs_threads=True,
    ),
    Table(
        kind="responses",
        name="responses",
        at="used_at",
        size="pg_column_size(body) + pg_column_size(input) + pg_column_size(said) + 200",
        # One that nobody has worked on for days is in progress only by name
        spare="(status NOT IN ('queued', 'in_progress') OR worked_at < now() - interval '7 days')",
        keep_for=lambda catalog: timedelta(days=catalog.retention.responses_days),
        megabytes=lambda catalog: catalog.retention.responses_megabytes,
    ),
    Table(
        kind="calls",
        name="calls",
        at="at",
        size="250",
        spare="true",
        keep_for=lambda catalog: timedelta(days=catalog.usage.keep_days),
        megabytes=lambda catalog: catalog.retention.usage_megabytes,
    ),
    Table(
        kind="sums",
        name="call_days",
        at="(day::timestamp AT TIME ZONE 'UTC')",
        size="200",
        spare="true",
        keep_for=lambda catalog: timedelta(days=catalog.usage.keep_sums_days),
        megabytes=lambda catalog: catalog.retention.usage_megabytes,
    ),
    Table(
        kind="cache",
        name="cached_answers",
        at="at",
        size="size",
        spare="true",
        keep_for=lambda catalog: timedelta(hours=catalog.optimization.cache_ttl_hours),
        megabytes=lambda catalog: catalog.optimization.cache_max_megabytes,
    ),
)

# The newest row that is beyond the size, counted from the newest
_BEYOND = """
SELECT max(at) FROM (
    SELECT {at} AS at, sum({size}) OVER (ORDER BY {at} DESC, ctid) AS total FROM {name} AS row
) AS summed WHERE total > %(most)s
"""
_IS_LARGE = "SELECT pg_total_relation_size(%s::regclass) > %s"
_COUNT = """
SELECT count(*) FILTER (WHERE {at} < %(old)s), count(*) FILTER (WHERE {at} >= %(old)s),
    coalesce(sum({size}), 0)::bigint
FROM {name} AS row WHERE ({at} < %(old)s OR {at} <= %(beyond)s) AND {spare}
"""
_DELETE = """
DELETE FROM {name} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {name} AS row WHERE {at} <= %(until)s AND {spare} ORDER BY {at} LIMIT %(count)s
))
"""


async def has_threads(connection: AsyncConnection) -> bool:
    """Whether a server has made its tables of threads here."""
    found = await connection.execute(
        "SELECT to_regclass('public.runs') IS NOT NULL"
        " AND to_regclass('public.checkpoints') IS NOT NULL"
    )
    return bool((await found.fetchone() or (False,))[0])


async def trim(
    connection: AsyncConnection, table: Table, catalog: Catalog, now: datetime, *, dry: bool
) -> tuple[int, int, int]:
    """Delete what is too old, and the oldest of what is too much: both counts, and the bytes.

    Only the first count is of rows that are too old.
    """
    old = now - table.keep_for(catalog)
    beyond = await _size_cutoff(connection, table, table.megabytes(catalog) * 1e6)
    bounds = {"old": old, "beyond": beyond}
    rows = await connection.execute(_filled(_COUNT, table), bounds)
    counted = await rows.fetchone() or (0, 0, 0)
    if not dry and (counted[0] or counted[1]):
        until = old - timedelta(microseconds=1)
        await _delete(connection, table, max(until, beyond) if beyond else until)
    return int(counted[0]), int(counted[1]), int(counted[2])


async def _size_cutoff(
    connection: AsyncConnection, table: Table, most_bytes: float
) -> datetime | None:
    # Cheap, and never too small: it counts indexes and what was deleted, too
    rows = await connection.execute(_IS_LARGE, [table.name, int(most_bytes)])
    if not (await rows.fetchone() or (False,))[0]:
        return None
    rows = await connection.execute(_filled(_BEYOND, table), {"most": int(most_bytes)})
    found = (await rows.fetchone() or (None,))[0]
    return found if isinstance(found, datetime) else None


async def _delete(connection: AsyncConnection, table: Table, until: datetime) -> None:
    deleted = DELETED_AT_ONCE
    while deleted == DELETED_AT_ONCE:
        done = await connection.execute(
            _filled(_DELETE, table), {"until": until, "count": DELETED_AT_ONCE}
        )
        deleted = done.rowcount


def _filled(statement: LiteralString, table: Table) -> Composed:
    return SQL(statement).format(
        name=SQL(table.name), at=SQL(table.at), size=SQL(table.size), spare=SQL(table.spare)
    )
