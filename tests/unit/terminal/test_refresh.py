"""What `potluck models --refresh` shows, and how it ends for a script."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from potluck.errors import PotluckError
from potluck.providers.catalog import Model
from potluck.providers.differences import Difference, Loss
from potluck.providers.model_lists import ServedModel
from potluck.settings import Settings
from potluck.terminal.refresh import (
    ProviderChanges,
    as_values,
    exit_code,
    print_changes,
    refresh,
)

OLD = Model("mine", "old")
SAME = ProviderChanges("mine", Difference("mine", 3))
FAILED = ProviderChanges("other", error="the key is refused", fix="Check OTHER_KEY in .env")
GONE = ProviderChanges(
    "mine",
    Difference("mine", 1, new=(ServedModel("fresh", context=9),), lost=(Loss(OLD),)),
    again=("back",),
    remove=("line 4: - id: old",),
    add=("- id: fresh", "  context: 9"),
    more=2,
)
REPLACED = ProviderChanges("mine", Difference("mine", 2, lost=(Loss(OLD, ServedModel("new")),)))


def printed(*changes: ProviderChanges) -> list[str]:
    out = io.StringIO()
    print_changes(changes, Console(file=out, width=30))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ([SAME], 0),
        ([ProviderChanges("mine", Difference("mine", 1, new=(ServedModel("x"),)))], 0),
        ([SAME, FAILED], 1),
        ([SAME, GONE], 3),
        ([REPLACED], 3),
        ([FAILED, GONE], 3),
    ],
)
def test_scripts_see_by_the_exit_code_what_is_to_do(
    changes: list[ProviderChanges], code: int
) -> None:
    assert exit_code(changes) == code


def test_a_provider_without_changes_takes_one_line() -> None:
    assert printed(SAME) == ["mine  serves 3 models: nothing has changed"]


def test_changes_are_named_with_the_lines_that_follow_from_them() -> None:
    assert printed(GONE) == [
        "mine  serves 1 model: the catalog differs",
        "  gone: old",
        "  served again: back",
        "  new: fresh, and 2 more (--json lists them)",
        "  providers.yaml, under `mine:` (-: with all that belongs to it)",
        "  - line 4: - id: old",
        "  + - id: fresh",
        "  +   context: 9",
    ]
    assert "  replaced: old → new" in printed(REPLACED)


def test_a_provider_that_could_not_be_asked_has_its_fix_below() -> None:
    assert printed(FAILED) == [
        "other  could not be asked: the key is refused",
        "  Check OTHER_KEY in .env",
    ]


def test_names_cannot_steer_the_terminal() -> None:
    nasty = ProviderChanges("mine", Difference("mine", 1, new=(ServedModel("[bold]x\x1b[2J"),)))
    assert printed(nasty)[1] == "  new: [bold]x[2J"


def test_programs_get_all_of_it() -> None:
    values = json.loads(json.dumps(as_values([GONE, REPLACED, FAILED])))["providers"]
    assert values[0] == {
        "provider": "mine",
        "error": None,
        "fix": None,
        "served": 1,
        "new": [{"id": "fresh", "context": 9, "capabilities": None}],
        "gone": ["old"],
        "replaced": [],
        "served_again": ["back"],
        "remove": ["line 4: - id: old"],
        "add": ["- id: fresh", "  context: 9"],
    }
    assert values[1]["replaced"] == [{"model": "old", "replacement": "new", "still_served": False}]
    assert values[2]["error"] == "the key is refused"


def test_with_no_provider_on_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINE_KEY", raising=False)
    (tmp_path / "providers.yaml").write_text(
        "providers: {mine: {base_url: 'https://x/v1', api_key_env: MINE_KEY, model: m}}"
    )
    settings = Settings(
        potluck_config_dir=tmp_path, potluck_env_file=tmp_path / ".env", potluck_home=tmp_path
    )
    with pytest.raises(PotluckError, match=r"No provider is on.*Put a key into \.env"):
        refresh(settings, Console(file=io.StringIO()))
