"""What `--help` tells below the options is true, and shells get their suggestions."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from potluck import cli
from potluck.terminal.completion import complete_model, complete_thread, harmless
from potluck.terminal.help import EXAMPLES, EXIT_CODES

COMMANDS = typer.main.get_group(cli.app).commands
LINES = [(name, line) for name, examples in EXAMPLES.items() for line in examples]


@pytest.mark.parametrize(("name", "line"), LINES)
def test_every_example_is_of_its_command_with_options_that_it_has(name: str, line: str) -> None:
    _, _, told = line.rpartition("potluck ")
    words = shlex.split(re.split(r"[|>]", told)[0])
    assert words[0] == name
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_of_a_command_shows_its_examples_each_on_a_line(name: str) -> None:
    shown = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(cli.app, [name, "--help"])
    assert shown.exit_code == 0
    for line, does in EXAMPLES[name].items():
        assert re.search(rf"{re.escape(line)}\s+{re.escape(does)}", shown.output), shown.output


def test_the_help_lists_the_exit_codes() -> None:
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(cli.app, ["--help"])
    for code in EXIT_CODES:
        assert re.search(rf"^ +{code}  ", shown.output, re.MULTILINE)


def test_the_guide_lists_the_same_exit_codes() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "terminal.md").read_text("utf-8")
    told = dict(re.findall(r"^\| (\d+) \| (.+) \|$", guide, re.MULTILINE))
    assert {int(code): text.replace("`", "") for code, text in told.items()} == EXIT_CODES


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTLUCK_HOME", str(tmp_path))
    monkeypatch.setenv("POTLUCK_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / ".env"))
    return tmp_path


def test_models_of_the_catalog_are_suggested(nowhere: Path) -> None:
    catalog = "providers: {mine: {api: groq, models: [{id: small}, {id: big/one}]}}"
    (nowhere / "providers.yaml").write_text(catalog)
    assert complete_model("mine/") == ["mine/small", "mine/big/one"]
    assert complete_model("mine/b") == ["mine/big/one"]
    assert complete_model("x") == []


def test_where_nothing_can_be_known_nothing_is_suggested(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / "providers.yaml").write_text("providers: [")
    assert complete_model("") == []
    assert complete_thread("") == []
    monkeypatch.setenv("POTLUCK_LOG_LEVEL", "loud")
    assert complete_model("") == []
    assert complete_thread("") == []


def test_a_title_cannot_run_anything_in_a_shell() -> None:
    assert harmless('x\\\\$(touch y)`z`\'; rm "a" | b & c > d') == "x touch y z rm a b c d"
    assert harmless("Tea in 京都, how much?") == "Tea in 京都, how much?"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_script(shell: str) -> None:
    shown = CliRunner().invoke(
        cli.app, [], env={"_POTLUCK_COMPLETE": f"source_{shell}"}, prog_name="potluck"
    )
    assert "_POTLUCK_COMPLETE" in shown.output
