"""`potluck check` and `potluck models --refresh`, each provider played by the simulator."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from ruamel.yaml import YAML

from potluck.providers.catalog_file import load_catalog
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Cause, Tombstone
from potluck.settings import Settings
from potluck.simulator.reply import FaultKind, Reply
from potluck.simulator.server import SimulatorServer
from potluck.terminal.facts import Fact
from potluck.terminal.provider_facts import find_provider_facts
from potluck.terminal.refresh import ProviderChanges, refresh

pytestmark = [
    pytest.mark.integration,
    # google-genai subclasses aiohttp's session
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

PROJECT_DIR = Path(__file__).parents[3]
# What each simulated provider serves first; the key each real one would want
SERVED = {
    "google_gemini": "gemini-3.5-flash-lite",
    "groq": "openai/gpt-oss-120b",
    "cerebras": "gpt-oss-120b",
    "mistral": "mistral-small-latest",
    "openrouter": "openai/gpt-oss-120b:free",
    "nvidia": "openai/gpt-oss-120b",
    "cloudflare": "@cf/openai/gpt-oss-120b",
    "sambanova": "gpt-oss-120b",
    "cohere": "command-a-03-2025",
    "huggingface": "openai/gpt-oss-120b",
    "together": "openai/gpt-oss-20b",
    "ollama": "qwen3:0.6b",
    "openai": "gpt-5-mini",
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(simulator: SimulatorServer) -> None:
    simulator.script.clear()
    simulator.log.clear()


@pytest.fixture(params=sorted(SERVED))
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def write_catalog(folder: Path, provider: str, *models: str | dict[str, str]) -> None:
    """That provider as it is shipped, with these models and no others."""
    yaml = YAML()
    entry = yaml.load(PROJECT_DIR / "config" / "providers.yaml")["providers"][provider]
    entry["models"] = list(models)
    yaml.dump({"providers": {provider: entry}}, folder / "providers.yaml")


@pytest.fixture
def settings(tmp_path: Path, simulator: SimulatorServer) -> Settings:
    return Settings(
        potluck_home=tmp_path / "home",
        potluck_config_dir=tmp_path,
        potluck_env_file=tmp_path / ".env",
        potluck_simulator=simulator.url,
    )


def look(settings: Settings) -> list[Fact]:
    catalog = load_catalog(settings.potluck_config_dir)
    console = Console(file=io.StringIO())
    return asyncio.run(find_provider_facts(catalog, settings, calls=True, console=console))


def ask(settings: Settings) -> ProviderChanges:
    [changes] = refresh(settings, Console(file=io.StringIO()))
    return changes


def bury(settings: Settings, provider: str, model: str, cause: Cause = "gone") -> None:
    catalog = load_catalog(settings.potluck_config_dir)
    path = (catalog.providers[provider].base_url or "").split("/", 3)[3:]
    address = f"{settings.potluck_simulator}{'/'.join([provider, *path])}"
    since = datetime.now(UTC)
    tombstone = Tombstone(provider, model, address, since, cause, "it is retired", None)
    asyncio.run(TombstoneFile(settings.potluck_home).put(tombstone))


def test_each_provider_answers_one_tiny_call(
    simulator: SimulatorServer, settings: Settings, provider: str
) -> None:
    write_catalog(settings.potluck_config_dir, provider, SERVED[provider])
    [fact] = look(settings)
    assert (fact.name, fact.state) == (provider, "ok")
    assert f"{SERVED[provider]} answered in" in fact.text
    [request] = simulator.log.requests()
    assert request.model == SERVED[provider]
    assert "64" in str(dict(request.body))


FAULTS = [
    (FaultKind.AUTH, "bad", "the key is refused", "in .env"),
    (FaultKind.OVERLOAD, "off", "", "Nothing to mend"),
    (FaultKind.DROP, "bad", "cannot be reached", "Is this machine online"),
]


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_comes_with_its_fix(
    simulator: SimulatorServer,
    settings: Settings,
    provider: str,
    case: tuple[FaultKind, str, str, str],
) -> None:
    fault, state, said, fix = case
    write_catalog(settings.potluck_config_dir, provider, SERVED[provider])
    simulator.script.on(Reply.failing(fault))
    [fact] = look(settings)
    if (provider, fault) == ("ollama", FaultKind.AUTH):
        fix = "`api_key_env:`"
    assert (fact.name, fact.state) == (provider, state)
    assert said in fact.text
    assert fix in (fact.fix or "")
    assert len(simulator.log.requests()) == 1


def test_a_day_that_is_used_up_is_no_fault_and_tells_when_it_is_over(
    simulator: SimulatorServer, settings: Settings
) -> None:
    write_catalog(settings.potluck_config_dir, "groq", SERVED["groq"])
    simulator.script.on(Reply.failing(FaultKind.DAY_REQUESTS, retry_after_s=7200))
    [fact] = look(settings)
    assert fact.state == "off"
    assert "today's quota is used up, back at 20" in fact.text


def test_an_empty_answer_is_an_answer(simulator: SimulatorServer, settings: Settings) -> None:
    write_catalog(settings.potluck_config_dir, "groq", SERVED["groq"])
    simulator.script.on(Reply("", finish_reason="length"))
    assert [fact.state for fact in look(settings)] == ["ok"]


def test_a_retired_model_is_named_with_its_replacement_which_is_asked(
    simulator: SimulatorServer, settings: Settings
) -> None:
    entry = {"id": "llama3-70b-8192", "replacement": "openai/gpt-oss-120b"}
    write_catalog(settings.potluck_config_dir, "groq", entry)
    gone, answered = look(settings)
    assert (gone.state, answered.state) == ("off", "ok")
    assert "decommissioned" in gone.text
    assert "replace it by openai/gpt-oss-120b" in (gone.fix or "")
    assert "openai/gpt-oss-120b answered" in answered.text


def test_a_retired_model_without_a_replacement_must_be_mended(settings: Settings) -> None:
    write_catalog(settings.potluck_config_dir, "groq", "llama3-70b-8192")
    [fact] = look(settings)
    assert fact.state == "bad"
    assert "models --refresh" in (fact.fix or "")


def test_a_buried_model_is_shown_and_not_asked(
    simulator: SimulatorServer, settings: Settings
) -> None:
    write_catalog(settings.potluck_config_dir, "groq", "llama3-70b-8192", SERVED["groq"])
    bury(settings, "groq", "llama3-70b-8192")
    answered, gone = look(settings)
    assert answered.state == "ok"
    assert (gone.state, gone.name) == ("off", "groq")
    assert "llama3-70b-8192: gone since" in gone.text
    assert [request.model for request in simulator.log.requests()] == [SERVED["groq"]]


def test_a_check_leaves_no_tombstone(settings: Settings) -> None:
    write_catalog(settings.potluck_config_dir, "groq", "llama3-70b-8192")
    look(settings)
    assert not settings.potluck_home.exists()


def test_each_provider_tells_what_it_serves(settings: Settings, provider: str) -> None:
    write_catalog(settings.potluck_config_dir, provider, SERVED[provider], "gone-for-good")
    changes = ask(settings)
    assert changes.error is None
    assert changes.difference is not None
    assert [loss.model.id for loss in changes.difference.lost] == ["gone-for-good"]
    assert SERVED[provider] not in {model.id for model in changes.difference.new}
    assert changes.remove[0].endswith("- gone-for-good")


def test_what_is_new_comes_with_lines_that_the_catalog_takes(settings: Settings) -> None:
    folder = settings.potluck_config_dir
    write_catalog(folder, "google_gemini", SERVED["google_gemini"])
    changes = ask(settings)
    file = folder / "providers.yaml"
    text = file.read_text()
    place = text.index(f"- {SERVED['google_gemini']}\n")
    start = text.rindex("\n", 0, place) + 1
    added = "".join(f"{text[start:place]}{line}\n" for line in changes.add)
    file.write_text(text[:start] + added + text[start:])
    models = load_catalog(folder).providers["google_gemini"].models
    assert {model.id for model in models} == {
        "gemini-3.5-flash-lite",
        "gemini-3.1-flash-lite",
        "gemini-3.8-flash",
    }
    assert {model.context for model in models} == {None, 1_048_576}


def test_a_replacement_that_is_served_is_named(settings: Settings) -> None:
    entry = {"id": "llama3-70b-8192", "replacement": "qwen/qwen3.6-27b"}
    write_catalog(settings.potluck_config_dir, "groq", SERVED["groq"], entry)
    changes = ask(settings)
    assert changes.difference is not None
    [loss] = changes.difference.lost
    assert loss.replacement is not None
    assert loss.replacement.id == "qwen/qwen3.6-27b"
    assert "- id: qwen/qwen3.6-27b" in changes.add


def test_a_model_that_is_served_again_loses_its_tombstone(settings: Settings) -> None:
    write_catalog(settings.potluck_config_dir, "groq", SERVED["groq"], "llama3-70b-8192")
    bury(settings, "groq", SERVED["groq"])
    bury(settings, "groq", "llama3-70b-8192")
    assert ask(settings).again == (SERVED["groq"],)
    kept = asyncio.run(TombstoneFile(settings.potluck_home).load())
    assert [tombstone.model for tombstone in kept] == ["llama3-70b-8192"]


def test_a_list_without_prices_does_not_make_a_model_free(settings: Settings) -> None:
    write_catalog(settings.potluck_config_dir, "groq", SERVED["groq"])
    bury(settings, "groq", SERVED["groq"], "not_free")
    assert ask(settings).again == ()
    assert len(asyncio.run(TombstoneFile(settings.potluck_home).load())) == 1


def test_a_refused_key_is_told_per_provider(settings: Settings, tmp_path: Path) -> None:
    url = f"{settings.potluck_simulator}groq/openai/v1"
    (tmp_path / ".env").write_text("ONE_KEY=bad-key\nTWO_KEY=good-key\n")
    (tmp_path / "providers.yaml").write_text(
        "providers:\n"
        f"  one: {{api: groq, base_url: '{url}', api_key_env: ONE_KEY, model: m}}\n"
        f"  two: {{api: groq, base_url: '{url}', api_key_env: TWO_KEY, model: m}}\n"
    )
    real = settings.model_copy(update={"potluck_simulator": None})
    one, two = refresh(real, Console(file=io.StringIO()))
    assert "the key is refused" in (one.error or "")
    assert "ONE_KEY" in (one.fix or "")
    assert "bad-key" not in f"{one}{two}"
    assert two.difference is not None


def test_each_of_several_keys_is_tried(settings: Settings, tmp_path: Path) -> None:
    url = f"{settings.potluck_simulator}groq/openai/v1"
    (tmp_path / ".env").write_text("ONE_KEY=bad-key\nTWO_KEY=good-key\n")
    (tmp_path / "providers.yaml").write_text(
        "providers:\n  mine:\n    api: groq\n    api_key_env: [ONE_KEY, TWO_KEY]\n"
        f"    base_url: {url}\n    model: {SERVED['groq']}\n"
    )
    real = settings.model_copy(update={"potluck_simulator": None})
    bad, good = look(real)
    assert (bad.state, good.state) == ("bad", "ok")
    assert bad.text.startswith("key 1 of 2: the key is refused")
    assert good.text.startswith("key 2 of 2: ")


def run(settings: Settings, *args: str) -> subprocess.CompletedProcess[str]:
    foreign = ("_API_KEY", "_TOKEN", "DATABASE_URL", "REDIS_URL", "POTLUCK_")
    kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in foreign)}
    env = kept | {
        "POTLUCK_HOME": str(settings.potluck_home),
        "POTLUCK_CONFIG_DIR": str(settings.potluck_config_dir),
        "POTLUCK_ENV_FILE": str(settings.potluck_env_file),
        "POTLUCK_SIMULATOR": str(settings.potluck_simulator),
    }
    return subprocess.run(
        [sys.executable, "-m", "potluck", *args],
        cwd=PROJECT_DIR,
        env=env,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize(
    ("models", "code"), [([SERVED["groq"]], 0), ([SERVED["groq"], "llama3-70b-8192"], 3)]
)
def test_the_command_ends_as_a_script_expects(
    settings: Settings, models: list[str], code: int
) -> None:
    write_catalog(settings.potluck_config_dir, "groq", *models)
    done = run(settings, "models", "--refresh", "--json")
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["providers"][0]["gone"] == models[1:]
    assert done.stderr == ""


def test_models_shows_what_is_gone(settings: Settings) -> None:
    write_catalog(settings.potluck_config_dir, "groq", "llama3-70b-8192", SERVED["groq"])
    bury(settings, "groq", "llama3-70b-8192")
    rows: list[dict[str, Any]] = json.loads(run(settings, "models", "--json").stdout)
    assert [(row["on"], bool(row["gone"])) for row in rows] == [(False, True), (True, False)]
