"""What `potluck check` finds, without a database."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from potluck.errors import DatabaseError, StartError
from potluck.sandbox.probe import Finding
from potluck.settings import Settings
from potluck.terminal import check as module
from potluck.terminal.check import check
from potluck.terminal.facts import Fact, print_facts, works


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing set, a catalog of one provider, and no database to start."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(
        "providers: {mine: {api: groq, api_key_env: MINE_API_KEY, models: [{id: small}],"
        " get_key_url: 'https://keys.example'}}"
    )
    for name in ("MINE_API_KEY", "DATABASE_URL", "POTLUCK_SIMULATOR", "POTLUCK_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POTLUCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("POTLUCK_CONFIG_DIR", str(config))
    monkeypatch.setenv("POTLUCK_ENV_FILE", str(tmp_path / ".env"))

    @contextmanager
    def database_url(_: Settings) -> Iterator[str]:
        yield "postgresql://here"

    async def probe(_: Settings) -> Finding:
        return Finding("ok", "bubblewrap")

    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(module, "database_url", database_url)
    monkeypatch.setattr(module, "_version", lambda _: "18.4")
    monkeypatch.setattr(module, "_in_use", lambda _: False)
    return tmp_path


def named(name: str) -> Fact:
    return next(fact for fact in check(calls=False) if fact.name == name)


def test_a_fresh_machine_is_fine_and_says_how_to_get_an_llm() -> None:
    facts = check(calls=False)
    assert works(facts)
    assert named("mine") == Fact(
        "mine", "off", "MINE_API_KEY is not set", "Get a key: https://keys.example"
    )
    assert named("LLM").state == "off"
    assert named("database").text == "embedded PostgreSQL, version 18.4"


def test_a_server_that_does_not_take_the_key_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: Settings) -> None:
        raise StartError("The server at http://here does not take the key.", fix="Put one first.")

    monkeypatch.setattr(module, "find", find)
    text = "The server at http://here does not take the key."
    assert named("server") == Fact("server", "bad", text, "Put one first.")
    assert named("database").state == "ok"


def test_a_provider_with_a_key_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_API_KEY", "secret-key")
    assert named("mine").state == "ok"
    assert "LLM" not in {fact.name for fact in check(calls=False)}
    assert "secret-key" not in str(check(calls=False))


def test_a_wrong_setting_is_bad_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POTLUCK_LOG_LEVEL", "loud")
    facts = check(calls=False)
    assert not works(facts)
    assert "POTLUCK_LOG_LEVEL" in facts[-1].text
    assert facts[-1].fix


def test_a_slip_in_the_tools_files_is_bad_with_its_place(machine: Path) -> None:
    assert "calculator" in named("tools").text
    (machine / "config" / "tools.yaml").write_text("tools:\n  calculater: deny\n")
    assert named("tools").state == "bad"
    assert "tools.yaml:2" in named("tools").text
    (machine / "config" / "tools.yaml").unlink()
    (machine / "config" / "mcp.json").write_text("{")
    assert "mcp.json:1" in named("tools").text


def test_an_mcp_server_that_does_not_start_is_bad(machine: Path) -> None:
    file = machine / "config" / "mcp.json"
    file.write_text('{"mcpServers": {"gone": {"command": "no-such-program"}}}')
    assert named("MCP gone").state == "bad"
    assert "no-such-program" in named("MCP gone").text


def test_a_broken_catalog_is_bad_with_file_and_line(machine: Path) -> None:
    file = machine / "config" / "providers.yaml"
    file.write_text("providers:\n  mine: {api: grok}\n")
    fact = named("configuration")
    assert fact.state == "bad"
    assert f"{file}:2" in fact.text
    assert fact.fix


def test_a_data_folder_that_cannot_be_is_bad(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "file").write_text("")
    monkeypatch.setenv("POTLUCK_HOME", str(machine / "file" / "home"))
    assert named("data folder").state == "bad"
    assert "database" not in {fact.name for fact in check(calls=False)}


def test_a_database_that_does_not_start_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> str:
        raise DatabaseError("It does not start.", fix="Read the log.")

    monkeypatch.setattr(module, "_version", broken)
    assert named("database") == Fact("database", "bad", "It does not start.", "Read the log.")


def test_a_port_taken_by_another_program_is_told_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_in_use", lambda _: True)
    assert named("server").fix == "potluck serve --port 8124"


FACTS = [Fact("a", "ok", "fine"), Fact("long", "bad", "[broken]", "Mend it.")]


def test_each_fact_has_a_line_and_its_fix_the_next() -> None:
    out = io.StringIO()
    print_facts(FACTS, Console(file=out, width=10))
    assert out.getvalue().splitlines() == [
        "✓ a     fine",
        "✗ long  [broken]",
        "        Mend it.",
        "1 fine, 1 to be mended.",
    ]


@pytest.mark.parametrize("width", [30, 60, 100])
def test_on_a_terminal_nothing_is_cut_off(width: int) -> None:
    out = io.StringIO()
    text = "one two three four " * 8
    facts = [*FACTS, Fact("off", "off", text, text.upper())]
    print_facts(facts, Console(file=out, width=width, force_terminal=True, color_system=None))
    assert " ".join(out.getvalue().split()).count("four") == 8
    assert " ".join(out.getvalue().split()).count("FOUR") == 8
    if width >= 60:
        assert all(len(line) <= width for line in out.getvalue().splitlines())
