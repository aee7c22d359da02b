"""One statement on a PostgreSQL database of the user's, in a transaction that cannot write."""

import psycopg
from psycopg import AsyncConnection

from potluck.errors import ToolError
from tools.sql_table import MAX_ROWS, Table

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 15

SCHEMA_SQL = """
SELECT table_schema AS schema, table_name AS "table",
       string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) AS columns
FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
GROUP BY 1, 2 ORDER BY 1, 2
"""
# Even in a transaction that only reads, these rights reach the server's files and programs.
_RIGHTS_SQL = """
SELECT rolsuper
    OR pg_has_role(rolname, 'pg_execute_server_program', 'member')
    OR pg_has_role(rolname, 'pg_write_server_files', 'member')
    OR pg_has_role(rolname, 'pg_read_server_files', 'member')
FROM pg_roles WHERE rolname = current_user
"""


async def ask_postgres(url: str, sql: str | None, *, write: bool = False) -> Table:
    """The rows of one statement (None: the schema). Raises ToolError with what the server says.

    A role that may reach the server's files or programs is refused.
    """
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout=3s"
    try:
        async with await AsyncConnection.connect(
            url, connect_timeout=CONNECT_TIMEOUT_S, options=options
        ) as connection:
            await connection.set_read_only(not write)
            await _refuse_mighty(connection)
            return await _run(connection, SCHEMA_SQL if sql is None else sql)
    except psycopg.OperationalError as error:
        raise ToolError(f"The database says: {_line(error)}.", may_pass=True) from error
    except psycopg.Error as error:
        raise ToolError(
            f"The database says: {_line(error)}.", fix="Ask for `schema` to see its tables."
        ) from error


async def _refuse_mighty(connection: AsyncConnection) -> None:
    cursor = await connection.execute(_RIGHTS_SQL)
    found = await cursor.fetchone()
    if found is None or found[0]:
        raise ToolError(
            "Its role may do more than use the database, so it is not used.",
            fix="The user has to make a role of its own for it: CREATE ROLE agent LOGIN PASSWORD "
            "'...'; GRANT pg_read_all_data TO agent.",
        )


async def _run(connection: AsyncConnection, sql: str) -> Table:
    async with connection.cursor() as cursor:
        # A prepared statement is a single one: nothing can follow a COMMIT of the model's. What
        # it may do, the transaction and the role decide.
        await cursor.execute(sql, prepare=True)
        if cursor.description is None:
            return Table([], [], changed=max(0, cursor.rowcount))
        rows = await cursor.fetchmany(MAX_ROWS + 1)
        columns = [column.name for column in cursor.description]
        return Table(columns, rows[:MAX_ROWS], len(rows) > MAX_ROWS)


def _line(error: psycopg.Error) -> str:
    return " ".join(str(error).split()).rstrip(".")
