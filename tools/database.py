"""SQL on a SQLite file of the workspace, or on a database that config/tools.yaml names."""

import asyncio

from langchain_core.tools import tool

from potluck.errors import ToolError
from tools.options import Database, current_options
from tools.postgres import ask_postgres
from tools.sql_table import Table
from tools.sqlite import ask_sqlite
from tools.workspace import current_workspace

TIMEOUT_S = 20.0
MAX_DATABASE_BYTES = 200_000_000
SCHEMA = "schema"


@tool(parse_docstring=True)
async def query_database(sql: str, database: str) -> str:
    """Read from a database with one SQL statement.

    Args:
        sql: One SELECT, or the word schema to see all tables.
        database: A SQLite file of the workspace, such as shop.db, or a database's name.
    """
    known = current_options().databases.get(database)
    return str(await _ask(sql, database, known, write=False))


@tool(parse_docstring=True)
async def change_database(sql: str, database: str) -> str:
    """Change a database with one SQL statement.

    Args:
        sql: One INSERT, UPDATE, DELETE or CREATE TABLE.
        database: The database's name.
    """
    known = current_options().databases.get(database)
    if known is None or not known.write:
        raise ToolError(f"{database!r} may not be changed.", fix=_names(writable=True))
    return str(await _ask(sql, database, known, write=True))


async def _ask(sql: str, name: str, known: Database | None, *, write: bool) -> Table:
    if not sql.strip():
        raise ToolError("The SQL is empty.", fix="Give one statement, or the word schema.")
    wants_schema = sql.strip().strip(";").lower() == SCHEMA
    try:
        async with asyncio.timeout(TIMEOUT_S):
            if known is not None and known.url is not None:
                url = known.url.get_secret_value()
                return await ask_postgres(url, None if wants_schema else sql, write=write)
            return await asyncio.to_thread(
                _ask_file, name, known, None if wants_schema else sql, write=write
            )
    except TimeoutError as error:
        raise ToolError(
            f"The statement did not end within {TIMEOUT_S:g} s.", fix="Ask for less at a time."
        ) from error


def _ask_file(name: str, known: Database | None, sql: str | None, *, write: bool) -> Table:
    if known is not None and known.file is not None:
        return ask_sqlite(known.file, sql, write=write)
    if not name.strip():
        raise ToolError("No database is named.", fix=_names())
    content = current_workspace().read(name, max_bytes=MAX_DATABASE_BYTES)
    return ask_sqlite(content, sql)


def _names(*, writable: bool = False) -> str:
    names = [n for n, found in current_options().databases.items() if found.write or not writable]
    return f"There are: {', '.join(names)}." if names else "The user has set up none."
