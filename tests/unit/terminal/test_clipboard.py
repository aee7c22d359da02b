"""The clipboard, through a program or through the terminal."""

import base64
import io
from pathlib import Path

import pytest

from potluck.terminal import clipboard


def put_program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only programs that there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_program_takes_it(programs: Path, tmp_path: Path) -> None:
    put_program(programs, "wl-copy", f"read -r line; echo \"$line\" > '{tmp_path}/taken'")
    terminal = io.StringIO()
    assert clipboard.copy("tea 茶\n", terminal) == "with wl-copy"
    assert (tmp_path / "taken").read_text() == "tea 茶\n"
    assert terminal.getvalue() == ""


def test_where_none_takes_it_the_terminal_is_asked(programs: Path) -> None:
    put_program(programs, "xclip", "exit 1")
    terminal = io.StringIO()
    assert "terminal" in clipboard.copy("tea\x1b[2J", terminal)
    sequence = terminal.getvalue()
    assert sequence.startswith("\x1b]52;c;")
    assert sequence.endswith("\x07")
    assert base64.b64decode(sequence[7:-1]) == b"tea\x1b[2J"
