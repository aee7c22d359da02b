"""Commands with a slash, said to the terminal."""

import io
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from rich.console import Console

from potluck.errors import PotluckError
from potluck.server.turn import thread_id_of
from potluck.terminal import commands as module
from potluck.terminal.commands import Commands, Leave, _as_markdown
from potluck.terminal.conversation import Terminal
from potluck.terminal.notes import KeptNote
from potluck.terminal.running import Running
from potluck.terminal.threads import ThreadLine

NOW = datetime.now(UTC)
THREADS = [
    ThreadLine("aaaa1111-0", "About tea", "idle", NOW - timedelta(minutes=5)),
    ThreadLine("bbbb2222-0", "About\x1b[31m trains", "interrupted", NOW - timedelta(days=2)),
]


class Talk:
    """Stands in for a conversation: keeps what is asked of it."""

    def __init__(self, messages: list[Mapping[str, Any]] | None = None) -> None:
        self.running = Running("http://here", 1, SecretStr("secret"), "ann")
        self.thread_id = "aaaa1111-0"
        self.model: str | None = None
        self.said = ""
        self.has_begun = True
        self.is_there = True
        self.messages = messages or []

    def switch(self, thread_id: str) -> None:
        self.thread_id = thread_id

    def catch_up(self) -> bool:
        return self.is_there

    def use(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return THREADS if work is module.threads.recent else self.messages


class Session:
    def __init__(self, talk: Talk, home: Path) -> None:
        self.talk = talk
        self._file = io.StringIO()
        console = Console(file=self._file, width=70)
        self.commands = Commands(talk, Terminal(console, console, home))  # type: ignore[arg-type]

    def run(self, line: str) -> str:
        """What is told."""
        assert self.commands.takes(line)
        self.commands.run(line)
        told = self._file.getvalue()
        self._file.truncate(0)
        return told.lstrip("\0")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(
        "potluck.terminal.offered.offered_models", lambda _: ["groq/big", "groq/small", "ollama/x"]
    )
    return Session(Talk(), tmp_path)


def test_a_message_is_no_command(session: Session) -> None:
    assert not session.commands.takes("Tell me about /help")
    assert not session.commands.takes("quit smoking?")


@pytest.mark.parametrize("line", ["/quit", "/exit", "/q", "exit", "quit"])
def test_leaves(session: Session, line: str) -> None:
    with pytest.raises(Leave):
        session.run(line)


def test_help_names_every_command(session: Session) -> None:
    told = session.run("/help")
    for name, meaning in session.commands.suggest("/").items():
        assert name in told
        assert meaning in told


def test_what_is_no_command_is_told_with_the_nearest_and_the_way_to_say_it(
    session: Session,
) -> None:
    with pytest.raises(PotluckError, match=r"/threds.*/threads\?.*a space before it"):
        session.run("/threds")


def test_threads_are_listed_and_gone_on_with(session: Session) -> None:
    told = session.run("/threads").splitlines()
    assert "1  aaaa1111" in told[1]
    assert re.search(r"\b[5-9] min ago", told[1])
    assert "About tea" in told[1]
    assert "[interrupted] About[31m trains" in told[2]
    assert session.run("/thread 2") == ""
    assert session.talk.thread_id == "bbbb2222-0"
    session.run("/thread aaaa")
    assert session.talk.thread_id == "aaaa1111-0"
    session.talk.is_there = False
    assert "new thread, called trip" in session.run("/thread trip")
    assert session.talk.thread_id == thread_id_of("trip", "ann")


def test_threads_and_models_are_suggested_before_they_were_listed(session: Session) -> None:
    assert dict(session.commands.suggest("/thread ")) == {
        "aaaa1111-0": "About tea",
        "bbbb2222-0": "About\x1b[31m trains",
    }
    assert list(session.commands.suggest("/model gr")) == [
        "default",
        "groq/big",
        "groq/small",
        "ollama/x",
    ]
    assert session.commands.suggest("/save ") == {}


def test_a_server_that_is_gone_suggests_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[str]:
        raise PotluckError("gone")

    monkeypatch.setattr("potluck.terminal.offered.offered_models", fail)
    assert session.commands.suggest("/model ") == {}


def test_new_is_another_thread(session: Session) -> None:
    session.run("/new")
    assert session.talk.thread_id != "aaaa1111-0"


def test_a_model_is_chosen_by_a_part_that_only_it_has(session: Session) -> None:
    session.run("/model small")
    assert session.talk.model == "groq/small"
    assert "groq/small" in session.run("/model")
    assert "ollama/x" in session.commands.suggest("/model ol")
    with pytest.raises(PotluckError, match="fits 2 models"):
        session.run("/model groq")
    with pytest.raises(PotluckError, match=r"No model.*'groq/bigg'.*groq/big"):
        session.run("/model groq/bigg")
    assert session.talk.model == "groq/small"
    session.run("/model default")
    assert session.talk.model is None


def test_notes_are_told_without_control_characters(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [KeptNote("n1", "likes\x1b tea", "")]
    monkeypatch.setattr(module, "notes_of", lambda _: kept)
    assert session.run("/notes") == "n1  likes tea\n"
    kept.clear()
    assert "Nothing is noted" in session.run("/notes")


def test_copy_takes_the_answer_as_it_was_written(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    monkeypatch.setattr("potluck.terminal.clipboard.copy", lambda text: copied.append(text) or "so")
    with pytest.raises(PotluckError):
        session.run("/copy")
    session.talk.said = "**42**"
    assert session.run("/copy") == "Copied so.\n"
    assert copied == ["**42**"]


MESSAGES: list[Mapping[str, Any]] = [
    {"type": "human", "content": "What is it?"},
    {"type": "ai", "content": "", "tool_calls": [{}]},
    {"type": "tool", "content": "raw"},
    {"type": "ai", "content": [{"type": "text", "text": "**42**"}]},
]


def test_a_thread_is_saved_as_markdown_and_never_over_a_file(tmp_path: Path) -> None:
    session = Session(Talk(MESSAGES), tmp_path)
    file = tmp_path / "my talk.md"
    assert str(file) in session.run(f"/save {file}").replace("\n", "")
    assert file.read_text() == "## You\n\nWhat is it?\n\n## Potluck\n\n**42**\n"
    for name, words in [
        (str(file), "there already"),
        ("", "Where to"),
        (str(tmp_path / "no" / "x"), "cannot be written"),
        ("~nobody-of-that-name/x.md", "cannot be written"),
        ("a\0b", "cannot be written"),
    ]:
        with pytest.raises(PotluckError, match=words):
            session.run(f"/save {name}")


def test_nothing_that_was_not_said_is_saved(tmp_path: Path) -> None:
    assert _as_markdown([{"type": "human", "content": " "}]) == ""
    with pytest.raises(PotluckError, match="Nothing was said"):
        Session(Talk(), tmp_path).run(f"/save {tmp_path / 'x.md'}")
    assert not (tmp_path / "x.md").exists()
