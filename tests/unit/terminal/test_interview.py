"""Asking at the terminal about tool calls that wait."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from potluck.server.approvals import Approval, Resume, approved, edited, rejected
from potluck.terminal.approvals import Interview

ONE = Approval("i1", "shell", {"command": "ls"}, "config/tools.yaml says ask to `shell`.")
TWO = Approval("i2", "write_file", {"path": "a.txt", "text": "one\ntwo"}, "why")


class Session:
    """A person who types these lines, one after the other, and then ends the input."""

    def __init__(self, *lines: str, editor: str | None = None) -> None:
        self.beside = io.StringIO()
        self._lines = list(lines)
        console = Console(file=self.beside, width=40)
        self._interview = Interview(console, editor=editor, read=self._read)

    def _read(self) -> str:
        if not self._lines:
            raise EOFError
        return self._lines.pop(0)

    def decide(self, approvals: Sequence[Approval] = (ONE,)) -> Resume | None:
        return self._interview.decide(approvals)


def test_shows_the_tool_why_it_asks_and_its_arguments_whole() -> None:
    session = Session("a", "a")
    session.decide([ONE, TWO])
    text = session.beside.getvalue()
    assert "? shell (1 of 2): config/tools.yaml says ask to `shell`.\n    command: ls\n" in text
    assert "    text:\n        one\n        two\n" in text


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["a"], approved()),
        (["Yes "], approved()),
        (["y"], approved()),
        (["n", ""], rejected()),
        (["r", ""], rejected()),
        (["r", "use pwd"], rejected("use pwd")),
        (["what?", "", "a"], approved()),
        (["e", '{"command": "pwd"}'], edited("shell", {"command": "pwd"})),
        (["e", "", "r", ""], rejected()),
        (["e", "{pwd", "a"], approved()),
        (["e", '["pwd"]', "a"], approved()),
        (["e", '{"command": "ls"}', "r", ""], rejected()),
    ],
)
def test_takes_down_what_is_decided(lines: list[str], answer: object) -> None:
    assert Session(*lines).decide() == {"i1": answer}


def test_who_leaves_before_the_last_question_has_decided_nothing() -> None:
    assert Session("a").decide([ONE, TWO]) is None


def test_what_is_approved_for_all_of_its_kind_is_not_asked_again_until_forgotten() -> None:
    session = Session("s", "n", "", "y")
    assert session.decide() == {"i1": approved()}
    other = Approval("i3", "shell", {"command": "rm x"}, ONE.description)
    because = Approval("i4", "shell", {"command": "rm x"}, "Another reason.")
    assert session.decide([other, because]) == {"i3": approved(), "i4": rejected()}
    text = session.beside.getvalue()
    assert "command: rm x" in text
    assert "Approved, as you said for all of its kind." in text
    session._interview.forget()
    assert session.decide([other]) == {"i3": approved()}
    assert session.decide([other]) is None


def test_an_editor_gets_the_arguments_as_json(tmp_path: Path) -> None:
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\ncat "$2" >seen.json\nprintf \'{"command": "pwd"}\' >"$2"\n')
    editor.write_text(editor.read_text().replace("seen.json", str(tmp_path / "seen.json")))
    editor.chmod(0o755)
    session = Session("e", editor=f"'{editor}' --wait")
    assert session.decide() == {"i1": edited("shell", {"command": "pwd"})}
    assert json.loads((tmp_path / "seen.json").read_text()) == {"command": "ls"}


@pytest.mark.parametrize("editor", ["no-such-editor", "false", "'unclosed"])
def test_an_editor_that_does_not_work_changes_nothing(editor: str) -> None:
    session = Session("e", "a", editor=editor)
    assert session.decide() == {"i1": approved()}
    assert "did not work" in session.beside.getvalue()
