"""A data folder of an older Potluck goes on with this one, with all that is in it."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from potluck.backup import backup, restore
from potluck.database import database_url
from potluck.pool import migrate, schema_files
from potluck.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

# What each file's tables hold before those after it come
ROWS = {
    "001_ledger.sql": """
        INSERT INTO ledger_windows VALUES ('w', 'a', 'day', 'UTC', 0, 0, 5, now());
        INSERT INTO ledger_entries VALUES ('w', now() + interval '1 day', 5);
    """,
    "002_learned.sql": """
        INSERT INTO learned_limits VALUES ('w', 'a', NULL, 'requests', 'day', 'UTC', 9, 4,
            'header', 'said so', now(), now(), now() + interval '1 day');
    """,
    "003_parked.sql": """
        INSERT INTO parked_runs VALUES ('gone', 'r', now() + interval '9 days', now(), 'out',
            '{box/box}', '{box/box}', '{}', NULL, 1);
    """,
    "004_cache.sql": """
        INSERT INTO cached_answers VALUES ('k', 'v', 10, now(), now(), '{}');
    """,
    "005_calls.sql": """
        INSERT INTO calls VALUES (gen_random_uuid(), 1, now(), 'p', 'm', '', '', 'general',
            'interactive', 'ok', NULL, 1, 1, NULL, NULL, 1, 1);
        INSERT INTO call_days VALUES (current_date, 'p', 'm', '', 'general', 'ok', 1, 1, 1, 0,
            1, 1, 0, 0);
    """,
}
FILLED = {
    "ledger_windows", "ledger_entries", "learned_limits", "parked_runs", "cached_answers",
    "calls", "call_days",
}  # fmt: skip
NUMBERS = range(1, len(schema_files()))


@pytest.fixture
def home() -> Iterator[Path]:
    from tests.conftest import make_home  # noqa: PLC0415

    made = make_home()
    yield made
    shutil.rmtree(made)


def settings(home: Path) -> Settings:
    return Settings(potluck_home=home, database_url=None)


def as_it_was(url: str, number: int) -> set[str]:
    """Make the tables of the first so many files, with rows in them; the filled tables."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS potluck CASCADE")
        connection.execute("CREATE SCHEMA potluck")
        connection.execute("SET LOCAL search_path = potluck")
        connection.execute("CREATE TABLE migrations (name text PRIMARY KEY, at timestamptz)")
        for file in schema_files()[:number]:
            connection.execute(file.read_bytes())
            connection.execute("INSERT INTO migrations VALUES (%s, now())", [file.name])
            connection.execute(ROWS.get(file.name, "SELECT 1").encode())
    return {name for name, count in rows_in(url).items() if count and name in FILLED}


def rows_in(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'potluck'"
            )
        ]
        counts = {}
        for name in names:
            statement = f"SELECT count(*) FROM potluck.{name}".encode()  # noqa: S608 - a table
            counts[name] = int((connection.execute(statement).fetchone() or (0,))[0])
        return counts


@pytest.mark.parametrize("number", NUMBERS)
async def test_from_every_earlier_schema_all_rows_stay(postgres_url: str, number: int) -> None:
    filled = as_it_was(postgres_url, number)
    before = rows_in(postgres_url)
    await migrate(postgres_url)
    after = rows_in(postgres_url)
    assert {name: after[name] for name in filled} == {name: before[name] for name in filled}
    assert after["migrations"] == len(schema_files())
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP SCHEMA potluck CASCADE")
    await migrate(postgres_url)
    assert set(rows_in(postgres_url)) == set(after)


def test_every_table_has_rows_in_the_older_folders(postgres_url: str) -> None:
    assert as_it_was(postgres_url, 5) == FILLED


def test_a_server_goes_on_with_an_older_folder(
    start_server: Callable[..., Any], home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "older.backup"
    with database_url(settings(home)) as url:
        as_it_was(url, 5)
        backup(settings(home), file, force=False, tell=lambda _: None)
    server = start_server()
    thread = httpx.post(f"{server.url}/threads", json={}).json()
    server.stop()
    # Aegra's tables are there already, ours are as they were
    with database_url(settings(server.home)) as url:
        as_it_was(url, 5)
    server.start()
    assert httpx.get(f"{server.url}/threads/{thread['thread_id']}").status_code == 200
    [day] = httpx.get(f"{server.url}/quota", params={"days": 1}).json()["days"][-1:]
    assert day
    server.stop()

    # And from a backup that an older one has made
    restore(settings(server.home), file, force=True, tell=lambda _: None)
    server.start()
    body = {"model": "potluck", "input": "Hello"}
    made = httpx.post(f"{server.url}/v1/responses", json=body, timeout=30).json()
    assert httpx.get(f"{server.url}/v1/responses/{made['id']}").status_code == 200
    server.stop()
    with database_url(settings(server.home)) as url:
        counts = rows_in(url)
    assert counts["migrations"] == len(schema_files())
    assert counts["learned_limits"] == counts["parked_runs"] == 1


def test_migrating_twice_changes_nothing(postgres_url: str) -> None:
    asyncio.run(migrate(postgres_url))
    before = rows_in(postgres_url)
    asyncio.run(migrate(postgres_url))
    assert rows_in(postgres_url) == before
