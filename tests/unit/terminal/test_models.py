"""The catalog as `potluck models` shows it."""

import asyncio
import io
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from potluck.errors import ConfigError
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstone
from potluck.settings import Settings
from potluck.terminal.models import ModelRow, models, print_models

CATALOG = """
providers:
  mine:
    api: openai
    base_url: http://127.0.0.1:1/v1
    api_key_env: MINE_API_KEY
    models:
      - id: small
        context: 32000
        limits: {requests_per_minute: 30, tokens_per_day: 200000}
        checked_on: 2026-11-21
  other:
    api: groq
    api_key_env: OTHER_API_KEY
    models: [{id: big/one, replacement: bigger}]
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "providers.yaml").write_text(CATALOG)
    monkeypatch.delenv("MINE_API_KEY", raising=False)
    monkeypatch.setenv("OTHER_API_KEY", "secret-key")
    return Settings(
        potluck_config_dir=tmp_path, potluck_env_file=tmp_path / ".env", potluck_home=tmp_path
    )


def printed(rows: list[ModelRow]) -> list[str]:
    out = io.StringIO()
    print_models(rows, Console(file=out, width=40))
    return out.getvalue().splitlines()


def test_what_is_on_stands_first(settings: Settings) -> None:
    rows = models(settings)
    assert [(row.ref, row.on) for row in rows] == [("other/big/one", True), ("mine/small", False)]
    assert "MINE_API_KEY" in rows[1].reason


def test_each_model_has_one_line_however_narrow_the_terminal(settings: Settings) -> None:
    heading, line = printed(models(settings))[-2:]
    told = "MINE_API_KEY is not set; not known whether it trains on what you send"
    assert heading == f"mine off  {told}"
    assert " ".join(line.split()) == (
        "small 32k json tools 30 req/min, 200,000 tok/day (checked 2026-11-21)"
    )


def test_on_a_terminal_columns_or_lines_hold_all_of_it(settings: Settings) -> None:
    rows = models(settings)
    for width in (40, 70, 140):
        out = io.StringIO()
        console = Console(file=out, width=width, force_terminal=True, color_system=None)
        print_models(rows, console)
        words = " ".join(out.getvalue().split())
        assert "small" in words
        assert "32k" in words
        assert "200,000 tok/day" in words
        assert "(checked 2026-11-21)" in words
        assert "not known whether it trains on what you send" in words


async def bury(settings: Settings, address: str) -> None:
    since = datetime(2026, 11, 20, tzinfo=UTC)
    tombstone = Tombstone("other", "big/one", address, since, "gone", "decommissioned")
    await TombstoneFile(settings.potluck_home).put(tombstone)


def test_a_model_that_is_gone_is_off_with_its_tombstone(settings: Settings) -> None:
    asyncio.run(bury(settings, "https://api.groq.com/openai/v1"))
    row = models(settings)[0]
    assert (row.ref, row.on) == ("other/big/one", False)
    assert row.gone == {
        "since": "2026-11-20T00:00:00+00:00",
        "cause": "gone",
        "why": "decommissioned",
        "replacement": "other/bigger",
    }
    heading, _, epitaph = printed([row])
    assert heading.startswith("other off")
    assert epitaph == "    gone since 2026-11-20; other/bigger is asked instead: decommissioned"


def test_what_another_address_said_counts_for_nothing(settings: Settings) -> None:
    asyncio.run(bury(settings, "http://127.0.0.1:9100/groq/openai/v1"))
    assert models(settings)[0].gone is None


def test_rows_are_json_and_hold_no_key(settings: Settings) -> None:
    text = json.dumps([asdict(row) for row in models(settings)])
    assert "secret-key" not in text
    assert json.loads(text)[1]["limits"] == {"requests_per_minute": 30, "tokens_per_day": 200000}


def test_a_broken_catalog_is_a_config_error(settings: Settings) -> None:
    (settings.potluck_config_dir / "providers.yaml").write_text("providers: [")
    with pytest.raises(ConfigError):
        models(settings)
