"""Yes and no in words: what is plainly allowed, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.server.approval_words import decide
from potluck.server.approvals import Approval, approved, rejected

THREE = [Approval(one, "shell", {}, "") for one in ("i1", "i2", "i3")]


def allowed(text: str) -> list[int]:
    answers = decide(text, THREE)
    return [n for n, one in enumerate(THREE, start=1) if answers[one.id] == approved()]


@pytest.mark.parametrize(
    "text",
    [
        "yes", "Yes.", "YES!", "y", "ok", "okay, go ahead", "approve all", "yes to all, please",
        "ja bitte", "oui", "d'accord", "sí", "はい", "はい、お願いします。", "好的", "👍🏽", "✅",
        "**yes**", "yes 1, 2 and 3", "1 2 3 ok", "all ok",
    ],
)  # fmt: skip
def test_a_plain_yes_allows_all(text: str) -> None:
    assert allowed(text) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("yes 1, no 2", [1]),
        ("yes 1,3", [1, 3]),
        ("approve 1 and 3", [1, 3]),
        ("1 yes, 2 no, 3 yes", [1, 3]),
        ("1: yes\n2: no", [1]),
        ("yes all, no 2", [1, 3]),
        ("no 1 yes 2", [2]),
        ("はい1、いいえ2", [1]),
        ("yes #2", [2]),
    ],
)
def test_numbers_say_which(text: str, numbers: list[int]) -> None:
    assert allowed(text) == numbers


@pytest.mark.parametrize(
    "text", ["no", "No!", "reject all", "nein", "いいえ", "no 1 2 3", "stop it"]
)
def test_a_plain_no_allows_nothing_and_has_no_words_for_the_model(text: str) -> None:
    assert set(map(str, decide(text, THREE).values())) == {str(rejected())}


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "1", "all", "thanks", "yes?", "ok\uff1f", "yes no", "not sure", "yes, not 1",
        "yes, no 2", "do not do it", "don't", "yes but without -rf", "yes 4", "yes 0", "yes 1-3",
        "yes 1.2", "1 yes 2", "yes 1 2 no", "no, use b.txt instead", "yesterday", "maybe", "yes ፩",
    ],
)  # fmt: skip
def test_whatever_is_unclear_allows_nothing_and_is_handed_on(text: str) -> None:
    assert list(decide(text, THREE).values()) == [rejected(text.strip())] * 3


@given(st.text(), st.sampled_from(["yes", "yes 1", "approve all"]))
def test_any_word_that_is_no_answer_makes_it_a_rejection(words: str, answer: str) -> None:
    assert allowed(f"{answer} delete {words}") == []
    assert allowed(f"{words} delete {answer}") == []


@given(st.text())
def test_any_text_decides_about_every_call(text: str) -> None:
    assert set(decide(text, THREE)) == {"i1", "i2", "i3"}
