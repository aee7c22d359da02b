"""Parked runs that have waited for too long, or are too many."""

from datetime import datetime, timedelta

from psycopg import AsyncConnection

from potluck.providers.catalog import Retention

_READ = """
SELECT thread_id, since < %s AS is_old, row_number() OVER (ORDER BY since DESC, thread_id) AS place
FROM parked_runs ORDER BY since
"""


async def overdue(
    connection: AsyncConnection, policy: Retention, now: datetime
) -> tuple[list[str], list[str]]:
    """The threads whose parked run has waited for too long, and those beyond the number."""
    since = now - timedelta(days=policy.parked_days)
    rows = await (await connection.execute(_READ, [since])).fetchall()
    old = [str(thread_id) for thread_id, is_old, _ in rows if is_old]
    beyond = [
        str(thread_id)
        for thread_id, is_old, place in rows
        if not is_old and place > policy.parked_runs
    ]
    return old, beyond
