"""SQL on a real PostgreSQL: read with a role that can do no more than that."""

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from potluck.errors import ToolError
from tools.database import change_database, query_database
from tools.options import Database, ToolOptions, use_options

pytestmark = pytest.mark.integration


@pytest.fixture
async def reader(postgres_url: str) -> str:
    """The URL of a role without any special right, and a table that it may use."""
    async with await AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("DROP SCHEMA IF EXISTS shop CASCADE")
        await connection.execute("DROP ROLE IF EXISTS agent")
        await connection.execute("CREATE ROLE agent LOGIN")
        await connection.execute("CREATE SCHEMA shop AUTHORIZATION agent")
        await connection.execute("CREATE TABLE shop.tea (name text, added date)")
        await connection.execute("ALTER TABLE shop.tea OWNER TO agent")
        await connection.execute("INSERT INTO shop.tea VALUES ('sencha', '2026-11-21')")
    return make_conninfo(**{**conninfo_to_dict(postgres_url), "user": "agent"})


def options(url: str, *, write: bool = False) -> ToolOptions:
    return ToolOptions(databases={"shop": Database(url=SecretStr(url), write=write)})


async def query(sql: str) -> str:
    return str(await query_database.ainvoke({"sql": sql, "database": "shop"}))


async def test_rows_and_schema_are_read(reader: str) -> None:
    with use_options(options(reader)):
        assert await query("SELECT * FROM shop.tea") == (
            "| name | added |\n| --- | --- |\n| sencha | 2026-11-21 |"
        )
        assert "| shop | tea | name text, added date |" in await query("schema")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM shop.tea",
        "SET TRANSACTION READ WRITE",
        "COMMIT; DELETE FROM shop.tea",
        "SELECT 1; DELETE FROM shop.tea",
        "WITH gone AS (DELETE FROM shop.tea RETURNING *) SELECT * FROM gone",
        "COPY shop.tea TO PROGRAM 'touch /tmp/potluck-was-here'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT nothing",
        "DO $$ BEGIN DELETE FROM shop.tea; END $$",
    ],
)
async def test_whatever_is_more_than_reading_fails(reader: str, sql: str) -> None:
    with use_options(options(reader)):
        with pytest.raises(ToolError, match="The database says"):
            await query(sql)
        assert "sencha" in await query("SELECT name FROM shop.tea")


async def test_a_mighty_role_is_refused_with_the_way_out(postgres_url: str, reader: str) -> None:
    with use_options(options(postgres_url)), pytest.raises(ToolError, match="CREATE ROLE"):
        await query("SELECT 1")


async def test_changes_need_the_users_word(reader: str) -> None:
    ask = {"sql": "UPDATE shop.tea SET name = 'gyokuro'", "database": "shop"}
    with use_options(options(reader)), pytest.raises(ToolError, match="may not be changed"):
        await change_database.ainvoke(ask)
    with use_options(options(reader, write=True)):
        assert await change_database.ainvoke(ask) == "Done: 1 row changed."
        assert "gyokuro" in await query("SELECT name FROM shop.tea")


async def test_a_database_that_is_not_there_is_told() -> None:
    nowhere = options("postgresql://nobody@127.0.0.1:1/none")
    with use_options(nowhere), pytest.raises(ToolError) as caught:
        await query("SELECT 1")
    assert caught.value.may_pass
