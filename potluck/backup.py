"""Backups of a data folder: all of it in one file, and back, whole or not at all."""

import contextlib
import json
import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import filelock

from potluck import backup_archive as archive
from potluck import backup_database as database
from potluck import backup_files as files
from potluck.database import database_url, prepare_home
from potluck.errors import BackupError, DatabaseError, StartError
from potluck.pool import schema_files
from potluck.sandbox.deletion import delete_tree
from potluck.settings import Settings

DUMP = "database.dump"
FILES = "files.tar.gz"
_BEGUN = "restore.json"
_SCRATCH = ".restore-"

Tell = Callable[[str], object]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds."""

    file: Path
    made_at: datetime
    threads: int
    files: int
    left_out: int
    size_bytes: int


def backup(settings: Settings, target: Path, *, force: bool, tell: Tell) -> Summary:
    """Write the database and files of the data folder into one file; a server may run meanwhile.

    The file appears when it is whole. Raises BackupError, also when it is there already and not
    `force`; StartError when a restore was cut short.
    """
    _refuse_foreign(settings)
    home = settings.potluck_home
    if not (home / "postgres" / "PG_VERSION").exists():
        raise BackupError(
            f"There is nothing to back up in {home}.", fix="Set POTLUCK_HOME to the data folder."
        )
    refuse_half_restored(home)
    _refuse_to_overwrite(target, force=force)
    with _scratch(target.parent, f".{target.name}-") as scratch:
        with database_url(settings) as url, database.held(url):
            tell("Saving the database")
            # First the database: files that it knows of are there when they are packed
            database.dump(url, scratch / DUMP)
            migrations = database.migrations_of(url)
            server_revision = database.server_revision_of(url)
            postgres_version = database.postgres_version_of(url)
            threads = database.count_threads(url)
            tell("Packing files")
            packed = files.pack(home, scratch / FILES)
        tell("Writing the archive")
        parts = {name: scratch / name for name in (DUMP, FILES)}
        manifest = archive.Manifest(
            format=archive.FORMAT,
            made_at=datetime.now(UTC),
            potluck_version=version("potluck"),
            postgres_version=postgres_version,
            migrations=migrations,
            parts={name: archive.part_of(file) for name, file in parts.items()},
            server_revision=server_revision,
        )
        whole = scratch / "whole"
        archive.write_archive(whole, manifest, parts)
        _sync(whole)
        _refuse_to_overwrite(target, force=force)
        whole.replace(target)
    size = target.stat().st_size
    return Summary(target, manifest.made_at, threads, packed.files, packed.left_out, size)


def restore(settings: Settings, source: Path, *, force: bool, tell: Tell) -> Summary:
    """Make the data folder what it was when the backup was made. No server may run on it.

    All of the backup is checked before anything is changed. Raises BackupError, also when the
    folder holds data and not `force`; StartError when a server uses it.
    """
    _refuse_foreign(settings)
    manifest = archive.read_manifest(source)
    _refuse_newer(source, manifest)
    home = settings.potluck_home
    prepare_home(home)
    with _alone(home):
        if (holds := _data_in(home)) and not force:
            raise BackupError(
                f"The data folder {home} holds data: {holds}.",
                fix="Use --force to replace it, or set POTLUCK_HOME to another folder.",
            )
        with _scratch(home, _SCRATCH) as scratch:
            tell("Checking the archive")
            parts = archive.extract_parts(source, manifest, scratch)
            tell("Unpacking files")
            new, old = scratch / "new", scratch / "old"
            new.mkdir()
            old.mkdir()
            unpacked = files.unpack(parts[FILES], new)
            tell("Loading the database")
            with database_url(settings) as url:
                _refuse_newer_postgres(source, manifest, url)
                _put_in_place(home, url, parts[DUMP], new, old)
                threads = database.count_threads(url)
                clear_after_restores(home, url)
    size = source.stat().st_size
    return Summary(source, manifest.made_at, threads, unpacked.files, unpacked.left_out, size)


def clear_after_restores(home: Path, url: str) -> None:
    """Delete what restores into this data folder have left. None may be under way.

    Raises StartError when one was cut short in the middle of its last step.
    """
    refuse_half_restored(home)
    try:
        database.drop_leftovers(url)
    except DatabaseError as error:
        logger.warning("What a restore has left takes room in the database: %s", error)
    for scratch in home.glob(f"{_SCRATCH}*"):
        _delete(scratch)


def refuse_half_restored(home: Path) -> None:
    """Raise StartError when a restore into this data folder was cut short."""
    if (home / _BEGUN).exists():
        raise StartError(
            f"A restore into the data folder {home} was cut short.",
            fix="Run it again: potluck restore FILE --force.",
        )


def _put_in_place(home: Path, url: str, dump: Path, new: Path, old: Path) -> None:
    begun = home / _BEGUN
    with database.loaded(url, dump) as name, _undisturbed():
        begun.write_text(json.dumps({"pid": os.getpid()}))
        try:
            with files.swapped(home, new, old):
                database.take_place(url, name)
        finally:
            begun.unlink()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Inside the block nobody stops this process politely: it is in the middle of one step."""
    polite = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
    before = {one: signal.signal(one, signal.SIG_IGN) for one in {*polite}}
    try:
        yield
    finally:
        for one, again in before.items():
            signal.signal(one, again)


def _data_in(home: Path) -> str | None:
    if (home / "postgres" / "PG_VERSION").exists():
        return "a database"
    workspaces = home / "workspaces"
    if workspaces.is_dir() and any(workspaces.iterdir()):
        return "workspaces"
    return None


def _refuse_foreign(settings: Settings) -> None:
    if settings.database_url is not None:
        raise BackupError(
            "DATABASE_URL names a database of your own, which Potluck does not back up.",
            fix="Use pg_dump and pg_restore for it, and copy the folder `workspaces` of "
            f"{settings.potluck_home}.",
        )


def _refuse_newer(source: Path, manifest: archive.Manifest) -> None:
    unknown = set(manifest.migrations) - {file.name for file in schema_files()}
    unknown |= {manifest.server_revision} - {"", *database.server_revisions()}
    if unknown or set(manifest.parts) != {DUMP, FILES}:
        raise _newer(source, manifest)


def _refuse_newer_postgres(source: Path, manifest: archive.Manifest, url: str) -> None:
    if manifest.postgres_version > database.postgres_version_of(url):
        raise _newer(source, manifest)


def _newer(source: Path, manifest: archive.Manifest) -> BackupError:
    return BackupError(
        f"{source} was made by a newer Potluck ({manifest.potluck_version}).",
        fix="Update this one, then restore.",
    )


def _refuse_to_overwrite(target: Path, *, force: bool) -> None:
    if target.is_dir() or not target.parent.is_dir():
        raise BackupError(
            f"{target} is no place for a file.", fix="Give the path of a file in a folder."
        )
    if target.exists() and not force:
        raise BackupError(f"{target} is there already.", fix="Use --force to replace it.")


@contextlib.contextmanager
def _scratch(parent: Path, prefix: str) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise BackupError(
            f"Nothing can be written in {parent}: {error.strerror}.",
            fix="Choose a folder that you own.",
        ) from error
    try:
        yield folder
    except OSError as error:
        raise BackupError(
            f"It could not be written: {error}.", fix="Check that the disk is not full; try again."
        ) from error
    finally:
        _delete(folder)


def _delete(folder: Path) -> None:
    try:
        delete_tree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("%s is of no use any more and could not be deleted: %s", folder, error)


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep servers away from the data folder. Raises StartError when one is there."""
    lock = filelock.FileLock(home / "server.lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StartError(
            f"A Potluck server uses the data folder {home}.", fix="Stop it, then restore."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
