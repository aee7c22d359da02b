"""Arguments, exit codes and errors of the command line."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from potluck import cli
from potluck.errors import StartError
from potluck.providers.catalog import Model
from potluck.providers.differences import Difference, Loss
from potluck.quota.report_form import QuotaReport
from potluck.terminal.facts import Fact
from potluck.terminal.notes import KeptNote
from potluck.terminal.refresh import ProviderChanges
from potluck.terminal.usage import Done


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["potluck", *args])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_an_error_of_ours_is_one_line_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve(_: object, **__: object) -> None:
        raise StartError("Port 8123 is in use.", fix="Choose another.")

    monkeypatch.setattr("potluck.server.serve.serve", serve)
    assert run(monkeypatch, "serve") == 1
    assert capsys.readouterr() == ("", "potluck: Port 8123 is in use. Choose another.\n")


def test_an_interrupt_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def chat(_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("potluck.terminal.chat.chat", chat)
    assert run(monkeypatch, "chat", "hi") == 130
    assert "Traceback" not in capsys.readouterr().err


def test_arguments_reach_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("potluck.terminal.chat.chat", lambda _, **given: seen.update(given))
    monkeypatch.setattr("potluck.server.serve.serve", lambda _, **given: seen.update(given))
    monkeypatch.setattr(
        "potluck.simulator.server.run", lambda *at, **given: seen.update(given, at=at)
    )
    assert run(monkeypatch, "chat", "hello there", "--thread", "notes", "--url", "http://x") == 0
    told = {"message": "hello there", "thread": "notes", "url": "http://x"}
    assert seen == {**told, "last": False, "model": None, "as_json": False}
    seen.clear()
    assert run(monkeypatch, "chat", "--last", "-m", "groq/x", "--json") == 0
    told = {"message": None, "thread": None, "url": None}
    assert seen == {**told, "last": True, "model": "groq/x", "as_json": True}
    seen.clear()
    assert run(monkeypatch, "serve", "--host", "127.0.0.2", "--port", "9") == 0
    assert seen == {"host": "127.0.0.2", "port": 9}
    seen.clear()
    assert run(monkeypatch, "simulate", "--port", "9", "--speed", "60", "--scenario", "chaos") == 0
    assert seen == {"at": ("127.0.0.1", 9), "speed": 60.0, "scenario": "chaos"}


def test_a_check_makes_calls_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def look(*, calls: bool) -> list[Fact]:
        seen.append(calls)
        return [Fact("a", "ok" if calls else "bad", "text")]

    monkeypatch.setattr("potluck.terminal.check.check", look)
    assert run(monkeypatch, "check") == 0
    assert run(monkeypatch, "check", "--no-calls", "--json") == 1
    assert seen == [True, False]


def test_a_refresh_of_the_models_ends_with_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = Loss(Model("mine", "old"))
    changes = [ProviderChanges("mine", Difference("mine", 1, lost=(loss,)))]
    monkeypatch.setattr("potluck.terminal.refresh.refresh", lambda *_: changes)
    assert run(monkeypatch, "models", "--refresh", "--json") == 3
    assert json.loads(capsys.readouterr().out)["providers"][0]["gone"] == ["old"]


def test_usage_ends_with_three_when_no_model_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    model = {
        "id": "m",
        "key_id": "",
        "back_at": None,
        "windows": [],
        "outage": None,
        "advice": {
            "status": "OPTIMAL",
            "window": None,
            "used_share": None,
            "exhausted_at": None,
            "resets_at": None,
        },
    }

    def look(_: object, *, days: int) -> QuotaReport:
        seen.append(days)
        models = [model | {"available": days == 1}]
        provider = {"id": "p", "on": True, "reason": "key set", "paid": False, "models": models}
        return QuotaReport.model_validate(
            {
                "at": "2026-11-21T12:00:00Z",
                "providers": [provider],
                "today": None,
                "days": [],
                "parked": [],
                "missing": [],
            }
        )

    monkeypatch.setattr("potluck.terminal.usage.usage", look)
    assert run(monkeypatch, "usage") == 0
    assert run(monkeypatch, "usage", "--days", "2") == 3
    capsys.readouterr()
    assert run(monkeypatch, "usage", "--days", "2", "--json") == 3
    assert json.loads(capsys.readouterr().out)["providers"][0]["id"] == "p"
    assert seen == [1, 2, 2]


def test_a_parked_run_is_resumed_or_cancelled_by_its_thread(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = "potluck.terminal.usage"
    monkeypatch.setattr(f"{usage}.resume", lambda _, thread: Done(thread.upper(), "resumed"))
    monkeypatch.setattr(f"{usage}.cancel", lambda _, thread: Done(thread.upper(), "cancelled"))
    assert run(monkeypatch, "usage", "--resume", "a") == 0
    assert run(monkeypatch, "usage", "--cancel", "b") == 0
    resumed, cancelled = capsys.readouterr().out.splitlines()
    assert resumed.startswith("Thread A is tried again now")
    assert cancelled == "Thread B waits no longer."
    assert run(monkeypatch, "usage", "--cancel", "b", "--resume", "a") == 2
    capsys.readouterr()
    assert run(monkeypatch, "usage", "--cancel", "b", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"thread_id": "B", "status": "cancelled"}


@pytest.mark.parametrize(
    "args",
    [
        ("serve", "--port", "99999"),
        ("simulate", "--speed", "0"),
        ("usage", "--days", "0"),
        ("nonsense",),
        ("chat", "x", "--last", "--thread", "y"),
        ("chat", "x", "--thread", "a\udcff"),
        ("usage", "--resume", "a\udcff"),
    ],
)
def test_wrong_arguments_are_refused(
    monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    assert run(monkeypatch, *args) == 2


def test_the_version_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert re.fullmatch(r"potluck \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_what_others_wrote_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note = KeptNote("n1", "likes\x1b]0;x\x07 tea", "")
    monkeypatch.setattr("potluck.terminal.notes.notes", lambda *_: [note])
    monkeypatch.setattr("potluck.terminal.notes.forget", lambda *_: note)
    assert run(monkeypatch, "notes") == 0
    assert run(monkeypatch, "notes", "--forget", "n1") == 0
    assert capsys.readouterr().out == "n1  likes]0;x tea\nForgotten: likes]0;x tea\n"

    def fail(_: object, **__: object) -> None:
        raise StartError("It says \x1b[2J this.")

    monkeypatch.setattr("potluck.terminal.chat.chat", fail)
    assert run(monkeypatch, "chat", "x") == 1
    assert capsys.readouterr().err == "potluck: It says [2J this.\n"


def test_help_does_not_load_what_is_heavy() -> None:
    code = (
        "import sys, potluck.cli\n"
        "heavy = {'langgraph', 'langchain_core', 'fastapi', 'httpx', 'pydantic', 'uvicorn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
