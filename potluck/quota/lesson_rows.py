"""Lessons in PostgreSQL, where all replicas see them."""

from collections.abc import Iterable
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from potluck.pool import Pool
from potluck.quota.lessons import Lesson

_COLUMNS = (
    "id, account, model, unit, period, reset, max_use, remaining, origin, source,"
    " since, confirmed_at, expires_at"
)
_READ = f"""
    SELECT {_COLUMNS} FROM learned_limits
    WHERE %(account)s::text IS NULL OR account = %(account)s
"""  # noqa: S608 # our own constant
# A replica's later word is not overwritten by an earlier one that was written late
_WRITE = f"""
    INSERT INTO learned_limits ({_COLUMNS})
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (id) DO UPDATE SET
        reset = excluded.reset, max_use = excluded.max_use, remaining = excluded.remaining,
        origin = excluded.origin, source = excluded.source, since = excluded.since,
        confirmed_at = excluded.confirmed_at, expires_at = excluded.expires_at
    WHERE learned_limits.confirmed_at <= excluded.confirmed_at
"""  # noqa: S608 # our own constant
_REMOVE = "DELETE FROM learned_limits WHERE id = ANY(%s)"


async def read_lessons(pool: Pool, account: str | None = None) -> list[Lesson]:
    """The lessons that anybody has learned of the account, or of all."""
    async with pool.connection() as connection:
        rows = await connection.execute(_READ, {"account": account})
        return [Lesson(*map(_in_utc, row)) for row in await rows.fetchall()]


async def write_lessons(pool: Pool, learned: Iterable[Lesson], forgotten: Iterable[str]) -> None:
    """Keep and drop lessons."""
    async with (
        pool.connection() as connection,
        connection.transaction(),
        connection.cursor() as cursor,
    ):
        await cursor.execute(_REMOVE, [list(forgotten)])
        await cursor.executemany(_WRITE, [astuple(lesson) for lesson in learned])


def _in_utc(value: Any) -> Any:  # Any: a column of whatever type
    """The same; moments come in the time zone of the database's session."""
    return value.astimezone(UTC) if isinstance(value, datetime) else value
