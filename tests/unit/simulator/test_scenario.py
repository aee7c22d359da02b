from datetime import UTC, datetime
from pathlib import Path

import pytest

from potluck.errors import ConfigError
from potluck.simulator.reply import FaultKind
from potluck.simulator.request import Message, ModelRequest
from potluck.simulator.scenario import load_scenario, scenario_names


def ask(provider: str, *, stream: bool = False) -> ModelRequest:
    said = (Message("user", "Hello"),)
    return ModelRequest(provider=provider, model="m", messages=said, stream=stream)


@pytest.mark.parametrize("name", scenario_names())
def test_ready_scenarios_load_and_say_what_they_do(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name
    assert len(scenario.about) > 20
    assert scenario.script.troubles or not scenario.limits


def test_groq_is_out_until_midnight_and_others_are_not() -> None:
    scenario = load_scenario("groq-day-used-up")
    fault = scenario.script.reply_to(ask("groq")).fault
    assert fault is not None
    assert fault.kind is FaultKind.DAY_REQUESTS
    assert fault.retry_after_s is not None
    assert 0 < fault.retry_after_s <= 86_400
    assert scenario.script.reply_to(ask("together")).fault is None
    assert scenario.script.reply_to(ask("groq"), elapsed_s=86_400).fault is None


def test_everything_is_back_at_nine(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: Mine\nstart: 2026-11-21T07:30:00Z\n"
        "troubles:\n  - {fault: overload, until: '09:00'}\n"
    )
    scenario = load_scenario(file, speed=60)
    assert scenario.clock.start == datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
    assert scenario.clock.speed == 60
    fault = scenario.script.reply_to(ask("groq")).fault
    assert fault is not None
    assert fault.retry_after_s == 5400
    assert scenario.script.reply_to(ask("groq"), elapsed_s=5400).fault is None


def test_the_scenario_in_the_documentation_loads(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "simulator.md"
    example = page.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "documented.yaml"
    file.write_text(example, encoding="utf-8")
    assert len(load_scenario(file).script.troubles) == 4
    assert all(f"`{name}`" in page.read_text(encoding="utf-8") for name in scenario_names())


def test_one_stream_in_five_is_cut() -> None:
    script = load_scenario("one-stream-in-five-cut").script
    cuts = [script.reply_to(ask("groq", stream=True)).cut_after for _ in range(500)]
    assert 60 < sum(cut is not None for cut in cuts) < 140
    assert all(script.reply_to(ask("groq")).cut_after is None for _ in range(50))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name: x\ntroubles:\n  - fault: nix\n", 3, "fault"),
        ("name: x\ntroubles:\n  - when: {}\n    chance: 2\n", 4, "chance"),
        ("name: x\ncolour: red\n", 2, "colour"),
        ("about: x\n", None, "name"),
        ("name: [\n", 2, "no YAML"),
        ("- 1\n", None, "The file"),
        ("name: x\nrules:\n  - when: {text: '['}\n    reply: {}\n", 3, "regular expression"),
        ("name: x\nrules:\n  - when: {}\n", 3, "either reply or replies"),
    ],
)
def test_mistakes_name_file_and_line(
    tmp_path: Path, text: str, line: int | None, what: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=what) as caught:
        load_scenario(file)
    assert caught.value.file == file
    assert caught.value.line == line


def test_an_unknown_name_lists_the_ready_ones() -> None:
    with pytest.raises(ConfigError, match="groq-day-used-up"):
        load_scenario("no-such-scenario")
