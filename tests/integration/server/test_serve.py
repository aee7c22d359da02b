"""What stops the start is said in one line, with the fix."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROJECT_DIR = Path(__file__).parents[3]


def serve(home: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "potluck", "serve", *args],
        cwd=PROJECT_DIR,
        env={
            **os.environ,
            "POTLUCK_HOME": str(home),
            "POTLUCK_ENV_FILE": str(home / ".env"),
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def the_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_port_in_use_is_named_with_another(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = the_line(serve(tmp_path, "--port", str(port)))
    assert f"Port {port}" in line
    assert f"--port {port + 1}" in line


def test_a_second_server_on_one_data_folder_is_told_where_the_first_is(
    offline_server: Any,
) -> None:
    line = the_line(serve(offline_server.home, "--port", "0"))
    assert str(offline_server.home) in line
    assert offline_server.url in line
    assert "POTLUCK_HOME" in line


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = the_line(serve(tmp_path / "file" / "home", "--port", "0"))
    assert "cannot be written" in line
    assert "POTLUCK_HOME" in line


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root needs a second user")
def test_as_root_a_closed_parent_folder_is_refused_and_left_closed() -> None:
    with tempfile.TemporaryDirectory() as closed:
        line = the_line(serve(Path(closed) / "home", "--port", "0"))
        assert closed in line
        assert "/var/lib/potluck" in line
        assert Path(closed).stat().st_mode & 0o777 == 0o700


def test_an_open_address_without_keys_is_refused(tmp_path: Path) -> None:
    line = the_line(serve(tmp_path, "--host", "0.0.0.0"))  # noqa: S104 - refused
    assert "POTLUCK_API_KEYS" in line


def test_keys_that_can_be_guessed_are_warned_of_where_others_reach_the_server(
    start_server: Callable[..., Any],
) -> None:
    keys = f"ann:short-one,bob:{'long' * 6}"
    server = start_server(args=["--host", "0.0.0.0"], env={"POTLUCK_API_KEYS": keys})  # noqa: S104 - with keys
    (warning,) = [line for line in server.output.splitlines() if "guessed" in line]
    assert ": ann." in warning
    assert "short-one" not in server.output


def test_a_broken_catalog_stops_the_start_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "providers.yaml").write_text("providers:\n  groq:\n    base_url: [\n")
    line = the_line(serve(tmp_path, "--port", "0", POTLUCK_CONFIG_DIR=str(tmp_path)))
    assert "providers.yaml:" in line
    assert "Fix:" in line


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    line = the_line(serve(tmp_path, "--port", "0", POTLUCK_LOG_LEVEL="loud"))
    assert "POTLUCK_LOG_LEVEL" in line
    assert "debug, info, warning" in line


def test_an_unreachable_database_stops_the_start(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    line = the_line(serve(tmp_path, "--port", "0", DATABASE_URL=url))
    assert "DATABASE_URL" in line


def test_the_welcome_says_what_a_user_needs_next(offline_server: Any) -> None:
    welcome = offline_server.output
    assert f"{offline_server.url}/v1" in welcome
    assert "smith.langchain.com/studio" in welcome
    assert "GROQ_API_KEY" in welcome
    assert "No LLM is connected" in welcome
    assert "Traceback" not in welcome


def test_the_embedded_database_ends_with_the_server(start_server: Callable[..., Any]) -> None:
    server = start_server()
    pid = int((server.home / "postgres" / "postmaster.pid").read_text().split()[0])
    server.stop()
    assert not (server.home / "postgres" / "postmaster.pid").exists()
    # Where the machine's first process reaps nobody, an ended process stays as a zombie.
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_also_ends_after_a_killed_server_was_started_again(
    start_server: Callable[..., Any],
) -> None:
    server = start_server()
    server.kill()
    server.start()
    server.stop()
    assert not (server.home / "postgres" / "postmaster.pid").exists()


def test_a_settings_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    line = the_line(serve(tmp_path, POTLUCK_ENV_FILE=str(tmp_path / "no" / "folder" / ".env")))
    assert "POTLUCK_ENV_FILE" in line


def test_a_settings_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"GROQ_API_KEY=\xff\xfe")
    assert "UTF-8" in the_line(serve(tmp_path))


def test_an_unknown_address_is_not_blamed_on_the_port(tmp_path: Path) -> None:
    line = the_line(serve(tmp_path, "--host", "nohost.invalid", POTLUCK_API_KEYS="ann:secret"))
    assert "nohost.invalid" in line
    assert "--port" not in line


@pytest.mark.parametrize("keys", ["ann:s3:cret", "ann:", "ann:passwörd", "ann: x"])
def test_keys_that_could_not_be_told_apart_are_refused(tmp_path: Path, keys: str) -> None:
    line = the_line(serve(tmp_path, POTLUCK_API_KEYS=keys))
    assert "POTLUCK_API_KEYS" in line
    assert "name:secret" in line


def test_a_list_of_users_cut_short_by_a_kill_does_not_stop_the_start(
    start_server: Callable[..., Any],
) -> None:
    server = start_server()
    server.kill()
    (server.home / "postgres" / ".handle_pids.json").write_text("[12")
    server.start()
