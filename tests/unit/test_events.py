"""The vocabulary of events: its schema, its guide, and what runs really tell."""

import json
import re
from typing import Any, get_args

import jsonschema_rs
import pytest

from potluck.event_schema import as_text, event_schema
from potluck.events import Event
from potluck.settings import PROJECT_DIR
from tests.event_check import VALIDATOR, kinds_of

GUIDE = (PROJECT_DIR / "docs" / "events.md").read_text("utf-8")
SECTIONS = re.findall(r"^### (\w+)\n(.*?)(?=^##)", GUIDE, re.MULTILINE | re.DOTALL)
KINDS = [get_args(kind.__annotations__["type"])[0] for kind in get_args(Event)]


def example_in(section: str) -> Any:
    (example,) = re.findall(r"^```json\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return json.loads(example)


def test_the_schema_in_the_docs_is_that_of_the_code() -> None:
    assert (PROJECT_DIR / "docs" / "events.schema.json").read_text("utf-8") == as_text(), (
        "run: uv run python -m potluck.event_schema > docs/events.schema.json"
    )


def test_the_schema_is_one_and_knows_every_kind() -> None:
    jsonschema_rs.meta.validate(event_schema())
    assert sorted(event_schema()["discriminator"]["mapping"]) == sorted(KINDS)
    assert all(kind["description"] for kind in event_schema()["$defs"].values())


def test_the_guide_has_every_kind_once() -> None:
    assert [name for name, _ in SECTIONS] == KINDS


@pytest.mark.parametrize(("name", "section"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_the_guide_shows_each_kind_as_it_is(name: str, section: str) -> None:
    assert kinds_of([example_in(section)]) == [name]


def test_a_newer_event_breaks_no_client_that_checks_by_the_schema() -> None:
    newer = {"type": "step", "node": "n", "text": "t", "novelty": 1}
    jsonschema_rs.validator_for(event_schema()).validate(newer)
    assert not VALIDATOR.is_valid(newer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "step", "node": "n"},
        {"type": "plan", "steps": [{"id": 1, "goal": "g", "status": "lost"}]},
        {"type": "tool_result", "id": "1", "name": "f", "ok": "yes", "text": ""},
        {"type": "unheard_of"},
        {},
    ],
)
def test_what_is_no_event_is_found_out(wrong: Any) -> None:
    assert not VALIDATOR.is_valid(wrong)
