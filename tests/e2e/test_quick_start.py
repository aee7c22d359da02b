"""The quick starts, command by command, on a machine without a key."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROJECT_DIR = Path(__file__).parents[2]
START = "python -m pip install uv && uv run potluck serve"
PAGES = ("start/quick-start.md", "ja/quick-start.md")


def commands(page: str) -> list[str]:
    text = (PROJECT_DIR / "docs" / page).read_text("utf-8")
    return [one.strip() for one in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


@pytest.fixture
def path_with_uv(tmp_path: Path) -> str:
    """A PATH on which `uv run potluck` is this checkout, without looking for packages."""
    program = tmp_path / "uv"
    program.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} -m potluck "$@"\n')
    program.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ['PATH']}"


def run(command: str, server: Any, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.replace("http://127.0.0.1:8123", server.url)],
        cwd=PROJECT_DIR,
        env={**server.environment(), "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_each_command_does_what_the_page_says(
    offline_server: Any, path_with_uv: str, page: str
) -> None:
    first, *others = commands(page)
    assert first == START
    for command in others:
        done = run(command, offline_server, path_with_uv)
        printed = done.stdout + done.stderr
        if command == "uv run potluck check":
            # Without a key there is something to mend, and it says what
            assert done.returncode in {0, 1}, printed
            assert "GROQ_API_KEY" in printed
            continue
        if command == "uv run potluck usage":
            assert done.returncode in {0, 3}, printed
            continue
        assert done.returncode == 0, f"{command}\n{printed}"
        if "17*23" in command:
            assert "392.41" in printed
        if "17×23" in command:  # noqa: RUF001 - typed so
            assert "391" in printed
        if command.startswith("curl"):
            assert "chat.completion" in printed


def test_the_home_page_starts_in_the_same_way() -> None:
    assert commands("index.md") == [START]


def test_the_server_says_what_the_page_shows(offline_server: Any) -> None:
    page = (PROJECT_DIR / "docs" / PAGES[0]).read_text("utf-8")
    shown = next(
        one for one in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "serves" in one
    )
    said = {" ".join(line.split()) for line in offline_server.output.splitlines()}
    for line in shown.replace("http://127.0.0.1:8123", offline_server.url).splitlines():
        if line.strip() not in {"", "..."}:
            assert " ".join(line.split()) in said, line
