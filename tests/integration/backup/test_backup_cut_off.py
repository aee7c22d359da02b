"""Backups and restores that are stopped, killed, or find no room: nothing half done counts."""

import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from potluck import backup as backups
from potluck import backup_database
from potluck.backup import backup, refuse_half_restored, restore
from potluck.database import database_url
from potluck.errors import BackupError, DatabaseError, StartError
from potluck.settings import PROJECT_DIR
from tests.integration.backup.data_folder import (
    COMMAND,
    databases_in,
    environment,
    parked_in,
    quiet,
    settings,
    small_home,
)
from tools.workspace import folder_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are a matter of POSIX"),
]

WAIT_S = 60.0
OURS = ["postgres", "template0", "template1"]
# Packing it takes seconds
LARGE_BYTES = 60_000_000


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A data folder whose database runs."""
    from tests.conftest import make_home  # noqa: PLC0415

    made = small_home(make_home())
    with database_url(settings(made)):
        yield made
    shutil.rmtree(made)


@pytest.fixture
def home(folder: Path) -> Iterator[Path]:
    """The data folder, with one row and one file, as each test finds it."""
    yield folder
    assert parked_in(folder) == ["t"]
    workspace = folder_of(folder, "t")
    (workspace / "notes.txt").write_text(folder.name)
    for left in (workspace / "large.bin", folder / "restore.json"):
        left.unlink(missing_ok=True)


def with_much_in(home: Path, size_bytes: int) -> Path:
    (folder_of(home, "t") / "large.bin").write_bytes(secrets.token_bytes(size_bytes))
    return home


def begin(home: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=PROJECT_DIR, env=environment(home), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def no_file_beyond(size_bytes: int) -> Callable[[], None]:
    """In a child, a disk on which no file has more room than that."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    return limit


def left_by_restores(home: Path) -> list[str]:
    return [path.name for path in home.glob(".restore-*")]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_backup_that_is_stopped_leaves_nothing(
    home: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    process = begin(with_much_in(home, LARGE_BYTES), "backup", str(tmp_path / "a.backup"))
    wait_for(lambda: list(tmp_path.glob(".a.backup-*/files.tar.gz")))
    process.send_signal(stop)
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_a_backup_without_room_leaves_nothing_and_says_so(home: Path, tmp_path: Path) -> None:
    # In sum it needs more than that, PostgreSQL's own files do not
    process = begin(
        with_much_in(home, 40_000_000), "backup", str(tmp_path / "a.backup"),
        preexec_fn=no_file_beyond(20_000_000),
    )  # fmt: skip
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert "could not be written" in told
    assert "Check that the disk is not full" in told
    assert list(tmp_path.iterdir()) == []


def test_a_restore_without_room_changes_nothing(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    backup(settings(with_much_in(home, 40_000_000)), file, force=False, tell=quiet)
    (folder_of(home, "t") / "notes.txt").write_text("newer")
    process = begin(home, "restore", "--force", str(file), preexec_fn=no_file_beyond(20_000_000))
    _, told = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1, told
    assert "Check that the disk is not full" in told
    assert (folder_of(home, "t") / "notes.txt").read_text() == "newer"
    assert parked_in(home) == ["t"]
    assert left_by_restores(home) == []


def test_a_restore_that_is_killed_changes_nothing_and_the_next_clears_up(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.backup"
    backup(settings(with_much_in(home, LARGE_BYTES)), file, force=False, tell=quiet)
    (folder_of(home, "t") / "notes.txt").write_text("newer")
    process = begin(home, "restore", "--force", str(file))
    wait_for(lambda: list(home.glob(".restore-*/new/workspaces/t/large.bin")))
    process.kill()
    process.communicate(timeout=WAIT_S)
    assert (folder_of(home, "t") / "notes.txt").read_text() == "newer"
    assert left_by_restores(home) != []
    restore(settings(home), file, force=True, tell=quiet)
    assert (folder_of(home, "t") / "notes.txt").read_text() == home.name
    assert left_by_restores(home) == []
    assert caplog.text == ""


def test_a_restore_that_is_killed_in_the_exchange_is_told_of_and_mended_by_another(
    home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.backup"
    backup(settings(home), file, force=False, tell=quiet)
    killed = """
import os, sys
from potluck import backup_database
from potluck.cli import main
backup_database.take_place = lambda *_: os._exit(9)
sys.argv[0] = "potluck"
main()
"""
    restored = [sys.executable, "-c", killed, "restore", "--force", str(file)]
    done = subprocess.run(restored, cwd=PROJECT_DIR, env=environment(home), check=False)
    assert done.returncode == 9
    with pytest.raises(StartError, match="cut short"):
        refuse_half_restored(home)
    assert list(home.glob(".restore-*/old/workspaces/t/notes.txt")) != []
    again = begin(home, "restore", "--force", str(file))
    again.communicate(timeout=WAIT_S)
    assert again.returncode == 0
    refuse_half_restored(home)
    assert (folder_of(home, "t") / "notes.txt").read_text() == home.name
    assert (left_by_restores(home), databases_in(home)) == ([], OURS)


def test_databases_that_killed_restores_left_go_with_the_next(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    backup(settings(home), file, force=False, tell=quiet)
    leave_databases(home)
    restore(settings(home), file, force=True, tell=quiet)
    assert databases_in(home) == OURS


def test_a_server_clears_up_what_killed_restores_left(start_server: Callable[..., Any]) -> None:
    server = start_server()
    server.stop()
    leave_databases(server.home)
    (server.home / ".restore-abc" / "new").mkdir(parents=True)
    server.start()
    assert left_by_restores(server.home) == []
    server.stop()
    assert databases_in(server.home) == OURS


def leave_databases(home: Path) -> None:
    with database_url(settings(home)) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE restored_{'0' * 16}")
        connection.execute(f"CREATE DATABASE replaced_{'1' * 16}")


def test_the_old_database_that_cannot_go_does_not_undo_a_restore(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "a.backup"
    backup(settings(home), file, force=False, tell=quiet)
    (folder_of(home, "t") / "notes.txt").write_text("newer")

    def refuse(*_: object) -> None:
        raise DatabaseError("It will not go", fix="none")

    with monkeypatch.context() as patched:
        patched.setattr(backup_database, "_drop", refuse)
        restore(settings(home), file, force=True, tell=quiet)
    assert (folder_of(home, "t") / "notes.txt").read_text() == home.name
    assert parked_in(home) == ["t"]
    assert "It will not go" in caplog.text
    assert len(databases_in(home)) == len(OURS) + 1


def test_nothing_is_restored_under_a_backup(home: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.backup", tmp_path / "b.backup"
    backup(settings(home), first, force=False, tell=quiet)
    refused: list[str] = []

    def tell(step: str) -> None:
        if step == "Packing files":
            with pytest.raises(BackupError, match="Another program is connected") as error:
                restore(settings(home), first, force=True, tell=quiet)
            refused.append(str(error.value))

    backup(settings(home), second, force=False, tell=tell)
    assert len(refused) == 1


def test_a_folder_in_the_middle_of_the_exchange_is_not_backed_up(
    home: Path, tmp_path: Path
) -> None:
    (home / "restore.json").write_text("{}")
    with pytest.raises(StartError, match="cut short"):
        backup(settings(home), tmp_path / "a.backup", force=False, tell=quiet)


def test_the_exchange_itself_is_not_stopped_half_way(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.backup"
    backup(settings(home), file, force=False, tell=quiet)
    take_place = backups.database.take_place

    def stopped(url: str, name: str) -> None:
        take_place(url, name)
        os.kill(os.getpid(), signal.SIGINT)

    (folder_of(home, "t") / "notes.txt").write_text("newer")
    monkeypatch.setattr(backups.database, "take_place", stopped)
    restore(settings(home), file, force=True, tell=quiet)
    assert (folder_of(home, "t") / "notes.txt").read_text() == home.name
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
