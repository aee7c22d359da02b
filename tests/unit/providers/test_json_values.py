"""Values and texts that any reader of JSON takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.providers.json_values import finite, portable, quoted


@given(st.text(st.characters()))
def test_every_text_can_be_sent_and_what_could_be_is_unchanged(text: str) -> None:
    sent = portable(text)
    assert sent.encode().decode() == sent
    assert (sent == text) is not any("\ud800" <= letter <= "\udfff" for letter in text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (float("nan"), "nan"),
        (
            {"a": [float("-inf"), None, True], 1: ("\ud83d",)},
            {"a": ["-inf", None, True], "1": ["?"]},
        ),
    ],
)
def test_a_value_is_what_strict_json_can_say(value: Any, expected: Any) -> None:
    assert finite(value) == expected
    json.dumps(finite(value), allow_nan=False).encode()


@given(st.one_of(st.text(), st.sampled_from(["1.50", "NaN", "[1]", "null", "9" * 5000])))
def test_who_reads_json_in_a_quoted_text_finds_its_very_words(text: str) -> None:
    try:
        read = json.loads(quoted(text))
    except json.JSONDecodeError:
        assert quoted(text) == text
    else:
        assert text in (read, json.dumps(read))
    assert quoted(quoted(text)) == quoted(text)
