"""The schema and the pool of connections, on a real PostgreSQL."""

import asyncio

import pytest
from psycopg import AsyncConnection

from potluck.errors import DatabaseError
from potluck.pool import Pool, migrate, pool_to

pytestmark = pytest.mark.integration


async def test_tables_are_made_once_however_many_replicas_start_together(
    postgres_url: str,
) -> None:
    async with await AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("DROP SCHEMA IF EXISTS potluck CASCADE")

    await asyncio.gather(*(migrate(postgres_url) for _ in range(4)))

    async with pool_to(postgres_url) as pool, pool.connection() as connection:
        rows = await connection.execute("SELECT count(*), count(DISTINCT name) FROM migrations")
        total, distinct = await rows.fetchone() or (0, -1)
    assert total == distinct


async def test_a_connection_sees_our_tables_without_naming_their_schema(pool: Pool) -> None:
    async with pool.connection() as connection:
        rows = await connection.execute("SELECT count(*) FROM migrations")
        assert await rows.fetchone() is not None


async def test_a_database_that_is_not_there_is_named_with_the_fix() -> None:
    with pytest.raises(DatabaseError, match="DATABASE_URL"):
        await migrate("postgresql://nobody@127.0.0.1:1/none")
