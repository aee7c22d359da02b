"""Lines for editing providers.yaml by hand."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from potluck.providers.model_lists import ServedModel
from potluck.terminal.catalog_lines import lines_to_add, lines_to_remove

TODAY = date(2026, 11, 21)
CATALOG = """\
providers:
  listed:
    models:
      - id: first # the first
        context: 5
      - second
  short:
    model: only
  twice: {models: [{id: a}, {id: b}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "providers.yaml"
    path.write_text(CATALOG)
    return path


@pytest.mark.parametrize(
    ("provider", "models", "lines"),
    [
        ("listed", ["first"], ("line 4: - id: first # the first",)),
        ("listed", ["second", "first"], ("line 4: - id: first # the first", "line 6: - second")),
        ("short", ["only"], ("line 8: model: only",)),
        ("twice", ["a", "b"], ("line 9: twice: {models: [{id: a}, {id: b}]}",)),
        ("listed", ["stranger"], ()),
        ("listed", [], ()),
    ],
)
def test_lines_to_remove_are_found_in_the_file(
    file: Path, provider: str, models: list[str], lines: tuple[str, ...]
) -> None:
    assert lines_to_remove(file, provider, models) == lines
    assert file.read_text() == CATALOG


NAMES = [
    "m",
    "openai/gpt-oss-120b",
    "a/b:free",
    "@cf/x/y",
    "no",
    "123",
    "a: b",
    "*x",
    "true",
    'q"q',
]


def read(lines: tuple[str, ...]) -> Any:
    return YAML(typ="safe").load("\n".join(lines))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_survives_yaml(name: str) -> None:
    assert read(lines_to_add([ServedModel(name)], TODAY)) == [{"id": name, "checked_on": TODAY}]


def test_what_is_known_is_written_and_defaults_are_left_out() -> None:
    models = [
        ServedModel("a", context=8192, capabilities=frozenset({"tools", "json"})),
        ServedModel("b", capabilities=frozenset({"vision", "tools"})),
    ]
    assert read(lines_to_add(models, TODAY)) == [
        {"id": "a", "context": 8192, "checked_on": TODAY},
        {"id": "b", "capabilities": ["tools", "vision"], "checked_on": TODAY},
    ]
