"""One statement on a SQLite database, with what could reach beyond it switched off."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from potluck.errors import ToolError
from tools.sql_table import MAX_ROWS, Table

TIME_LIMIT_S = 10.0
_INSTRUCTIONS_BETWEEN_CHECKS = 10_000
_LONGEST_VALUE_BYTES = 10_000_000
# Offsets of the file format's versions; 2 is WAL, which a copy in memory cannot have
_VERSIONS = slice(18, 20)

SCHEMA_SQL = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name"

_READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
# Each of these reaches outside of the one database that was opened
_NEVER = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
_READING_PRAGMAS = frozenset(
    {"table_info", "table_list", "table_xinfo", "index_list", "index_info", "foreign_key_list"}
)
_Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]
_NEVER_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})


def ask_sqlite(source: bytes | Path, sql: str | None, *, write: bool = False) -> Table:
    """The rows of one statement (None: the schema) on a file, or on a copy of its bytes.

    Raises ToolError when it is no database, when the statement is wrong, takes too long, or
    would do more than read without `write`.
    """
    with _opened(source, write=write) as connection:
        connection.set_authorizer(_authorizer(write=write))
        ends_at = time.monotonic() + TIME_LIMIT_S
        connection.set_progress_handler(
            lambda: time.monotonic() > ends_at, _INSTRUCTIONS_BETWEEN_CHECKS
        )
        try:
            with connection:
                cursor = connection.execute(SCHEMA_SQL if sql is None else sql)
                rows = cursor.fetchmany(MAX_ROWS + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ToolError(*_explained(error, write=write)) from error
        columns = [column[0] for column in cursor.description or ()]
        return Table(columns, rows[:MAX_ROWS], len(rows) > MAX_ROWS, max(0, cursor.rowcount))


@contextlib.contextmanager
def _opened(source: bytes | Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    mode = "rw" if write else "ro"
    try:
        if isinstance(source, Path):
            connection = sqlite3.connect(f"{source.as_uri()}?mode={mode}", uri=True, timeout=5)
        else:
            connection = sqlite3.connect(":memory:")
            connection.deserialize(_without_wal(source))
    except (sqlite3.Error, OverflowError) as error:
        raise ToolError(f"It cannot be opened: {error}.") from error
    with contextlib.closing(connection):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # noqa: FBT003 - its only form
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_TRUSTED_SCHEMA, False)  # noqa: FBT003 - its only form
        yield connection


def _without_wal(content: bytes) -> bytes:
    changed = bytearray(content)
    if len(changed) >= _VERSIONS.stop:
        changed[_VERSIONS] = b"\x01\x01"
    return bytes(changed)


def _authorizer(*, write: bool) -> _Authorizer:
    def decide(
        action: int, first: str | None, second: str | None, _where: str | None, _by: str | None
    ) -> int:
        if action in _NEVER:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA:
            allowed = (first or "").lower() in _READING_PRAGMAS
            return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _NEVER_FUNCTIONS:
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK if write or action in _READING else sqlite3.SQLITE_DENY

    return decide


def _explained(error: Exception, *, write: bool) -> tuple[str]:
    text = str(error)
    if "interrupted" in text:
        return (f"The statement took longer than {TIME_LIMIT_S:g} s. Ask for less at a time.",)
    if "not authorized" in text or "prohibited" in text:
        allowed = "one database alone can be used" if write else "it can only be read"
        return (f"The database refuses: {text}; {allowed}.",)
    if "not a database" in text:
        return ("The file is no SQLite database.",)
    if "one statement at a time" in text:
        return ("Give one statement at a time.",)
    return (f"The database says: {text}. Ask for `schema` to see its tables.",)
