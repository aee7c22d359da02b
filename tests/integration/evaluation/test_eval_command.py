"""`potluck eval`: without keys, with a scripted model, and against providers."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from potluck.cli import app
from potluck.evaluation.models import scripted_model
from potluck.evaluation.task_file import load_tasks
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / ".env"))
    monkeypatch.setenv("POTLUCK_HOME", str(tmp_path / "home"))


def test_a_scripted_model_needs_no_key_and_prints_a_table() -> None:
    done = RUNNER.invoke(app, ["eval", "--simulated", "strong", "--class", "chat"])
    assert done.exit_code == 0, done.output
    assert "5/5" in done.output


def test_json_tells_each_run() -> None:
    done = RUNNER.invoke(app, ["eval", "--simulated", "strong", "--task", "tool-product", "--json"])
    told = json.loads(done.stdout)
    assert told["models"][0]["share"] == 1.0
    assert (told["results"][0]["task"], told["results"][0]["requests"]) == ("tool-product", 2)


@pytest.mark.parametrize(
    ("wanted", "fix"),
    [
        (["--simulated", "clever"], "strong, weak, contrary"),
        (["--simulated", "strong", "--class", "nothing"], "Classes: chat"),
    ],
)
def test_a_wrong_name_says_which_there_are(wanted: list[str], fix: str) -> None:
    done = RUNNER.invoke(app, ["eval", *wanted])
    assert done.exit_code == 1
    assert fix in str(done.exception)


@pytest.fixture
def live() -> SimulatorServer:
    return SimulatorServer(Script(default=scripted_model("strong", load_tasks())))


def test_each_model_of_the_user_is_asked_alone_and_has_its_table(
    live: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live:
        monkeypatch.setenv("POTLUCK_SIMULATOR", live.url)
        refs = ["groq/openai/gpt-oss-120b", "together/openai/gpt-oss-20b"]
        asked = [part for ref in refs for part in ("--model", ref)]
        done = RUNNER.invoke(app, ["eval", *asked, "--task", "tool-read", "--json"])
        told = json.loads(done.stdout)
        assert [one["model"] for one in told["models"]] == refs
        assert [r["requests"] for r in told["results"]] == [2, 2]
        assert [one.provider for one in live.log if one.request] == ["groq"] * 2 + ["together"] * 2


def test_much_use_is_agreed_to_first(
    live: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live:
        monkeypatch.setenv("POTLUCK_SIMULATOR", live.url)
        done = RUNNER.invoke(app, ["eval", "--model", "groq/openai/gpt-oss-120b"])
        assert done.exit_code == 1
        assert "--yes" in str(done.exception)
        assert not [one for one in live.log if one.request]


def test_a_model_that_is_not_on_is_told_with_those_that_are(
    live: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live:
        monkeypatch.setenv("POTLUCK_SIMULATOR", live.url)
        done = RUNNER.invoke(app, ["eval", "--model", "groq/none"])
        assert "groq/openai/gpt-oss-120b" in str(done.exception)


def test_without_any_key_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if any(mark in name for mark in ("_API_KEY", "_TOKEN", "POTLUCK_SIMULATOR")):
            monkeypatch.delenv(name)
    done = RUNNER.invoke(app, ["eval", "--class", "chat"])
    assert done.exit_code == 1
    assert "No provider is on" in str(done.exception)
    assert "potluck eval --simulated" in str(done.exception)
