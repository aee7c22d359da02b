"""Backups of real data folders, made beside a running server and restored elsewhere."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from ruamel.yaml import YAML

from potluck import backup as backups
from potluck.backup import backup, refuse_half_restored, restore
from potluck.database import database_url
from potluck.errors import BackupError, StartError
from potluck.pool import schema_files
from potluck.settings import PROJECT_DIR, Settings
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ToolCall
from potluck.simulator.server import SimulatorServer
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

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

WAIT_S = 60.0


@pytest.fixture
def connect() -> Iterator[Callable[[str], SyncLangGraphClient]]:
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(get_sync_client(url=url))


@pytest.fixture(scope="session")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("config")
    box = {"base_url": "http://127.0.0.1:1/v1", "model": "box"}
    YAML().dump({"providers": {"box": box}}, folder / "providers.yaml")
    policy = {
        "parking": {"wait_limit_seconds": 1},
        "waiting": {"interactive_seconds": 0, "background_seconds": 0},
        "optimization": {"enable_caching": False},
    }
    YAML().dump(policy, folder / "limits.yaml")
    return str(folder)


def potluck(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=PROJECT_DIR, env=environment(home), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def out_of_quota(for_s: float) -> Reply:
    error = {"message": f"Too many concurrent requests. Please try again in {for_s:g}s."}
    headers = {"retry-after": f"{for_s:g}"}
    return Reply(fault=Fault(status=429, body={"error": error}, headers=headers))


def asked(text: str) -> Any:
    return {"messages": [{"role": "user", "content": text}]}


def test_a_run_parked_before_is_finished_after_elsewhere(
    start_server: Callable[..., Any],
    connect: Callable[[str], SyncLangGraphClient],
    homes: Callable[[], Path],
    one_model: str,
    tmp_path: Path,
) -> None:
    env = {"POTLUCK_CONFIG_DIR": one_model}
    with SimulatorServer() as provider:
        server = start_server(simulator=provider, env=env)
        client = connect(server.url)
        written = ToolCall("write_file", {"path": "notes.txt", "text": "green tea"})
        provider.script.on(Reply(tool_calls=(written,)), times=1)
        provider.script.on(Reply("It is written."), times=1)
        noted = client.threads.create()["thread_id"]
        client.runs.wait(noted, "agent", input=asked("Note down green tea in a file."))
        provider.script.on(out_of_quota(8), times=1)
        provider.script.on(Reply("Forty-two."))
        parked = client.threads.create()["thread_id"]
        client.runs.wait(parked, "agent", input=asked("What is the answer?"))
        assert client.threads.get(parked)["status"] == "interrupted"
        file = tmp_path / "potluck.backup"
        # The server runs on meanwhile
        saved = potluck(server.home, "backup", str(file))
        assert saved.returncode == 0, saved.stderr
        assert "2 threads, 1 file" in saved.stdout
        running = potluck(server.home, "restore", "--force", str(file))
        assert running.returncode == 1
        assert "Stop it" in running.stderr
        server.kill()
        before = len(provider.log)

        other = replace(server, home=small_home(homes()), process=None)
        refused = potluck(other.home, "restore", str(file))
        assert refused.returncode == 1
        assert "holds data" in refused.stderr
        brought = potluck(other.home, "restore", "--force", str(file))
        assert brought.returncode == 0, brought.stderr
        assert "Restored: 2 threads, 1 file" in brought.stdout
        other.start()
        client = connect(other.url)
        wait_for(lambda: client.threads.get(parked)["status"] == "idle")
        state: Any = client.threads.get_state(parked)
        said = [message["content"] for message in state["values"]["messages"]]
        assert said == ["What is the answer?", "Forty-two."]
        assert len(provider.log) == before + 1
        assert (folder_of(other.home, noted) / "notes.txt").read_text() == "green tea"
        assert not list(other.home.glob(".restore-*"))
        assert httpx.get(f"{other.url}/quota/parked").json()["parked"] == []
        other.stop()


def test_into_an_empty_folder_and_over_another(homes: Callable[[], Path], tmp_path: Path) -> None:
    first = small_home(homes())
    file = tmp_path / "a.backup"
    saved = backup(settings(first), file, force=False, tell=quiet)
    assert (saved.threads, saved.files, saved.left_out) == (0, 1, 0)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.backup"]
    empty = homes()
    restore(settings(empty), file, force=False, tell=quiet)
    assert parked_in(empty) == ["t"]
    assert (folder_of(empty, "t") / "notes.txt").read_text() == first.name
    # What came since then goes, also from the database
    with database_url(settings(empty)) as url, psycopg.connect(url) as connection:
        connection.execute("UPDATE potluck.parked_runs SET thread_id = 'later'")
    (folder_of(empty, "later")).mkdir()
    restore(settings(empty), file, force=True, tell=quiet)
    assert parked_in(empty) == ["t"]
    assert [one.name for one in (empty / "workspaces").iterdir()] == ["t"]
    assert databases_in(empty) == ["postgres", "template0", "template1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A data folder, and a backup of it."""
    from tests.conftest import make_home  # noqa: PLC0415

    home = small_home(make_home())
    file = tmp_path_factory.mktemp("backup") / "a.backup"
    backup(settings(home), file, force=False, tell=quiet)
    yield home, file
    shutil.rmtree(home)


class TestRefusals:
    def test_a_file_that_is_there_is_not_overwritten(self, made: tuple[Path, Path]) -> None:
        home, file = made
        before = file.read_bytes()
        with pytest.raises(BackupError, match="is there already"):
            backup(settings(home), file, force=False, tell=quiet)
        assert file.read_bytes() == before
        backup(settings(home), file, force=True, tell=quiet)
        assert file.read_bytes() != before

    def test_what_fails_half_way_leaves_no_file(
        self, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(backups.archive, "write_archive", full)
        with pytest.raises(BackupError, match="No space left"):
            backup(settings(made[0]), tmp_path / "new", force=False, tell=quiet)
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_backup_changes_nothing(
        self, made: tuple[Path, Path], tmp_path: Path
    ) -> None:
        home, file = made
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(BackupError, match="damaged"):
            restore(settings(home), tmp_path / "bad", force=True, tell=quiet)
        assert parked_in(home) == ["t"]
        assert (folder_of(home, "t") / "notes.txt").exists()

    def test_a_database_that_cannot_be_loaded_changes_nothing(
        self, made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home, file = made
        extract = backups.archive.extract_parts

        def spoiled(*given: Any) -> Any:
            parts = extract(*given)
            parts[backups.DUMP].write_bytes(b"PGDMP and nonsense")
            return parts

        monkeypatch.setattr(backups.archive, "extract_parts", spoiled)
        with pytest.raises(BackupError, match="pg_restore has failed"):
            restore(settings(home), file, force=True, tell=quiet)
        assert parked_in(home) == ["t"]
        assert (folder_of(home, "t") / "notes.txt").exists()
        assert not list(home.glob(".restore-*"))
        refuse_half_restored(home)

    def test_a_database_in_use_changes_nothing(self, made: tuple[Path, Path]) -> None:
        home, file = made
        with (
            database_url(settings(home)) as url,
            psycopg.connect(url),
            pytest.raises(BackupError, match="Another program is connected"),
        ):
            restore(settings(home), file, force=True, tell=quiet)
        assert parked_in(home) == ["t"]
        assert (folder_of(home, "t") / "notes.txt").exists()

    def test_a_newer_database_is_refused(
        self, made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, homes: Callable[[], Path]
    ) -> None:
        older = schema_files()[:-1]
        monkeypatch.setattr(backups, "schema_files", lambda: older)
        with pytest.raises(BackupError, match="newer Potluck"):
            restore(settings(homes()), made[1], force=False, tell=quiet)

    @pytest.mark.parametrize("newer", [{"server_revision": "later"}, {"postgres_version": 99}])
    def test_newer_parts_below_it_are_refused(
        self, made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, newer: dict[str, Any]
    ) -> None:
        home, file = made
        manifest = backups.archive.read_manifest(file).model_copy(update=newer)
        monkeypatch.setattr(backups.archive, "read_manifest", lambda _: manifest)
        with pytest.raises(BackupError, match=r"newer Potluck.*Update this one"):
            restore(settings(home), file, force=True, tell=quiet)
        assert parked_in(home) == ["t"]

    def test_an_external_database_is_the_users_own_to_back_up(self, tmp_path: Path) -> None:
        own = Settings(potluck_home=tmp_path, database_url="postgresql://x@127.0.0.1/x")  # type: ignore[arg-type] # pydantic wraps it
        with pytest.raises(BackupError, match="pg_dump"):
            backup(own, tmp_path / "f", force=False, tell=quiet)
        with pytest.raises(BackupError, match="pg_restore"):
            restore(own, tmp_path / "f", force=False, tell=quiet)

    def test_an_empty_folder_has_nothing_to_back_up(self, tmp_path: Path) -> None:
        with pytest.raises(BackupError, match="nothing to back up"):
            backup(settings(tmp_path), tmp_path / "f", force=False, tell=quiet)

    def test_a_restore_that_was_cut_short_is_told_at_the_start(self, tmp_path: Path) -> None:
        refuse_half_restored(tmp_path)
        (tmp_path / "restore.json").write_text("{}")
        with pytest.raises(StartError, match=r"cut short.*--force"):
            refuse_half_restored(tmp_path)
