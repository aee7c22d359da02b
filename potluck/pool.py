"""Potluck's own tables in PostgreSQL: a pool of connections, and the schema brought up to date."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from potluck.database import database_url
from potluck.errors import DatabaseError
from potluck.settings import Settings

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

CONNECT_TIMEOUT_S = 5
WAIT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 5
# psycopg's pauses between attempts double for as long as this; whoever asks next begins anew
RECONNECT_TIMEOUT_S = 2.0
MAX_CONNECTIONS = 8

_SCHEMA = Path(__file__).parent / "schema"
# Any number that nobody else locks: replicas that start together must not migrate at once
_MIGRATION_LOCK = 7_105_116_108


@asynccontextmanager
async def open_pool(settings: Settings) -> AsyncIterator[Pool]:
    """Connections to the database, whose tables are up to date.

    Raises DatabaseError when the database cannot be reached or its tables cannot be made.
    """
    with contextlib.ExitStack() as stack:
        # Starting the embedded one takes most of a second.
        url = await asyncio.to_thread(stack.enter_context, database_url(settings))
        await migrate(url)
        async with pool_to(url) as pool:
            yield pool


@asynccontextmanager
async def pool_to(url: str) -> AsyncIterator[Pool]:
    """Connections to the database at `url`, whose tables are there already."""
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=MAX_CONNECTIONS,
        timeout=WAIT_TIMEOUT_S,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        open=False,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c search_path=potluck -c statement_timeout={STATEMENT_TIMEOUT_S}s",
        },
    )
    async with pool:
        yield pool


def schema_files() -> list[Path]:
    """The files that make our tables, in their order."""
    return sorted(_SCHEMA.glob("*.sql"))


async def migrate(url: str) -> None:
    """Apply each file of `schema/` that was not applied yet, in the order of their names."""
    files = await asyncio.to_thread(schema_files)
    try:
        async with await AsyncConnection.connect(
            url, connect_timeout=CONNECT_TIMEOUT_S
        ) as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
            await connection.execute("CREATE SCHEMA IF NOT EXISTS potluck")
            await connection.execute("SET LOCAL search_path = potluck")
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, at timestamptz)"
            )
            rows = await connection.execute("SELECT name FROM migrations")
            done = {name for (name,) in await rows.fetchall()}
            for file in files:
                if file.name not in done:
                    await connection.execute(file.read_bytes())
                    await connection.execute(
                        "INSERT INTO migrations VALUES (%s, now())", [file.name]
                    )
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(
            f"The tables of Potluck could not be made: {reason}.",
            fix="Check that the user of DATABASE_URL may create a schema in its database.",
        ) from error
