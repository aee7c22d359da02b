"""What a model gives is mended where it is clear what was meant, and refused in plain words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.providers.offer import Offer

SCHEMA = {
    "type": "object",
    "properties": {
        "place": {"type": "string"},
        "days": {"type": "integer"},
        "share": {"type": "number"},
        "sure": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["place"],
}
TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
BARE = {"type": "function", "function": {"name": "now"}}
OFFER = Offer.of({"tools": [TOOL, BARE]})


def form_of(schema: dict[str, Any] | None) -> Offer:
    if schema is None:
        return Offer.of({"response_format": {"type": "json_object"}})
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return Offer.of({"response_format": wanted})


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ('{"place": "sea"}', {"place": "sea"}),
        ('{"place": "sea"', {"place": "sea"}),
        ("{'place': 'sea',}", {"place": "sea"}),
        ('```json\n{"place": "sea"}\n```', {"place": "sea"}),
        ('{"place": "sea", "days": "3"}', {"place": "sea", "days": 3}),
        ('{"place": "sea", "share": "0.5"}', {"place": "sea", "share": 0.5}),
        ('{"place": "sea", "sure": "True"}', {"place": "sea", "sure": True}),
        ('{"place": "sea", "tags": "[\\"a\\"]"}', {"place": "sea", "tags": ["a"]}),
        ('{"place": "sea", "days": null}', {"place": "sea"}),
        ('{"place": "sea", "more": 1}', {"place": "sea", "more": 1}),
        ({"place": "sea"}, {"place": "sea"}),
    ],
)
def test_arguments_are_mended(given_text: object, expected: dict[str, Any]) -> None:
    assert OFFER.arguments("look", given_text, cut=False) == expected


@pytest.mark.parametrize("empty", ["", "{}", None, {}])
def test_a_tool_without_parameters_needs_no_arguments(empty: object) -> None:
    assert OFFER.arguments("now", empty, cut=False) == {}


@pytest.mark.parametrize(
    ("given_text", "reason"),
    [
        ("{}", '"place" is a required property'),
        ('{"place": 7}', "place: 7 is not of type"),
        ('{"place": "sea", "days": "soon"}', "days:"),
        ('{"place": null}', "place: null is not of type"),
        ("[1, 2]", "no JSON object"),
        ("the sea", "no JSON object"),
    ],
)
def test_what_cannot_be_mended_is_refused_with_the_reason(given_text: str, reason: str) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        OFFER.arguments("look", given_text, cut=False)


def test_half_an_argument_is_never_taken_for_a_whole_one() -> None:
    with pytest.raises(ValueError, match="output limit"):
        OFFER.arguments("look", '{"place": "half of a na', cut=True)


@pytest.mark.parametrize(
    ("called", "name"),
    [("look", "look"), ("functions.look", "look"), ("Look ", "look"), ("lok", None), ("", None)],
)
def test_the_tool_that_is_meant_is_found(called: str, name: str | None) -> None:
    assert OFFER.name_of(called) == name


@given(value=st.dictionaries(st.text(min_size=1), st.integers() | st.text(), min_size=1))
def test_json_that_is_right_stays_as_it_is(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert form_of(None).text(text, cut=False) == text


@pytest.mark.parametrize("text", ['```json\n{"a": 1}\n```', '{"a": 1', 'Here it is: {"a": 1}'])
def test_json_in_disguise_is_brought_into_form(text: str) -> None:
    wanted = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert json.loads(form_of(wanted).text(text, cut=False)) == {"a": 1}


@pytest.mark.parametrize(
    ("schema", "text"), [(None, "no json at all"), ({"type": "object", "required": ["b"]}, "{}")]
)
def test_what_is_not_the_form_is_refused(schema: dict[str, Any] | None, text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        form_of(schema).text(text, cut=False)


def test_where_no_form_is_demanded_any_text_will_do() -> None:
    assert Offer.of({}).text("words", cut=False) == "words"
    assert Offer.of({"response_format": {"type": "text"}}).text("words", cut=False) == "words"


def test_a_schema_that_is_wrong_in_itself_is_left_to_the_provider() -> None:
    tool = {"type": "function", "function": {"name": "odd", "parameters": {"$ref": "#/nope"}}}
    assert Offer.of({"tools": [tool]}).arguments("odd", '{"a": 1}', cut=False) == {"a": 1}


def test_the_tool_that_must_be_called_is_known() -> None:
    assert Offer.of({"tools": [TOOL], "tool_choice": "look"}).forced == "look"
    assert Offer.of({"tools": [TOOL], "tool_choice": "any"}).forced is None
