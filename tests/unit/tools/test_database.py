"""SQL on SQLite files: what can be asked, and that nothing else can be done."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from potluck.errors import ToolError
from tools.database import change_database, query_database
from tools.options import Database, ToolOptions, use_options
from tools.sql_table import MAX_ROWS
from tools.workspace import Workspace, use_workspace


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "root"
    with use_workspace(Workspace(made)):
        make_shop(made / "shop.db")
        yield made


def make_shop(file: Path, *, wal: bool = False) -> None:
    file.parent.mkdir(exist_ok=True, parents=True)
    connection = sqlite3.connect(file)
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript("CREATE TABLE tea (name TEXT, grams INTEGER);")
    connection.executemany("INSERT INTO tea VALUES (?, ?)", [("sencha", 50), ("oolong", None)])
    connection.commit()
    connection.close()


async def query(sql: str, database: str = "shop.db") -> str:
    return str(await query_database.ainvoke({"sql": sql, "database": database}))


async def test_rows_come_as_a_table(root: Path) -> None:
    assert await query("SELECT name, grams FROM tea ORDER BY name DESC") == (
        "| name | grams |\n| --- | --- |\n| sencha | 50 |\n| oolong | NULL |"
    )


async def test_no_rows_and_too_many_rows_are_told(root: Path) -> None:
    assert (await query("SELECT * FROM tea WHERE grams > 99")).endswith("[no rows]")
    many = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 500) SELECT x FROM n"
    )
    text = await query(many)
    assert text.count("\n") == MAX_ROWS + 2
    assert "only the first 200 rows" in text


async def test_the_schema_is_shown_on_request(root: Path) -> None:
    assert "CREATE TABLE tea (name TEXT, grams INTEGER)" in await query("schema")


async def test_a_database_that_was_written_with_a_log_is_read(root: Path) -> None:
    make_shop(root / "logged.db", wal=True)
    assert "sencha" in await query("SELECT * FROM tea", "logged.db")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM tea",
        "UPDATE tea SET grams = 0",
        "INSERT INTO tea VALUES ('x', 1)",
        "DROP TABLE tea",
        "CREATE TABLE x (y)",
        "ATTACH DATABASE 'other.db' AS other",
        "ATTACH DATABASE ':memory:' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode=DELETE",
        "PRAGMA writable_schema=ON",
        "SELECT load_extension('x.so')",
        "SELECT 1; DELETE FROM tea",
        "SELECT writefile('x', 'y')",
        "SELEKT",
        "SELECT * FROM nothing",
        "",
    ],
)
async def test_reading_changes_nothing_and_reaches_nothing_else(root: Path, sql: str) -> None:
    before = contents(root)
    with pytest.raises(ToolError):
        await query(sql)
    assert contents(root) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_statement_without_an_end_is_stopped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.sqlite.TIME_LIMIT_S", 0.05)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT sum(x) FROM n"
    with pytest.raises(ToolError, match="took longer"):
        await query(endless)


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("missing.db", "There is no missing.db"),
        ("../shop.db", "workspace"),
        ("/etc/passwd", "workspace"),
        ("notes.txt", "no SQLite database"),
        ("", "none"),
    ],
)
async def test_what_is_no_database_is_named(root: Path, database: str, says: str) -> None:
    (root / "notes.txt").write_text("hello " * 100)
    with pytest.raises(ToolError, match=says):
        await query("SELECT 1 FROM tea", database)


async def test_a_link_out_of_the_workspace_is_not_followed(root: Path, tmp_path: Path) -> None:
    make_shop(tmp_path / "other" / "shop.db")
    (root / "link.db").symlink_to(tmp_path / "other" / "shop.db")
    with pytest.raises(ToolError, match="link"):
        await query("SELECT * FROM tea", "link.db")


@pytest.mark.parametrize("write", [False, True])
async def test_a_database_of_the_users_is_changed_only_when_they_allow_it(
    root: Path, tmp_path: Path, write: bool
) -> None:
    file = tmp_path / "users.db"
    make_shop(file)
    ask = {"sql": "DELETE FROM tea WHERE grams IS NULL", "database": "users"}
    with use_options(ToolOptions(databases={"users": Database(file=file, write=write)})):
        assert "oolong" in await query("SELECT * FROM tea", "users")
        with pytest.raises(ToolError):
            await query(ask["sql"], "users")
        if write:
            assert await change_database.ainvoke(ask) == "Done: 1 row changed."
            assert "oolong" not in await query("SELECT * FROM tea", "users")
        else:
            with pytest.raises(ToolError, match="may not be changed"):
                await change_database.ainvoke(ask)


async def test_a_change_that_fails_changes_nothing_at_all(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "users.db"
    connection = sqlite3.connect(file)
    connection.executescript(
        "CREATE TABLE n (x INTEGER CHECK (x < 3)); INSERT INTO n VALUES (1),(2)"
    )
    connection.close()
    with use_options(ToolOptions(databases={"users": Database(file=file, write=True)})):
        with pytest.raises(ToolError, match="CHECK"):
            await change_database.ainvoke({"sql": "UPDATE n SET x = x + 1", "database": "users"})
        assert await query("SELECT sum(x) FROM n", "users") == "| sum(x) |\n| --- |\n| 3 |"
