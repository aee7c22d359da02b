"""Plans that are not as they should be are mended without asking again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.plan_form import MAX_STEPS, PlannedStep, condensed, read_plan, renumbered

Shape = list[tuple[str, list[int]]]


def shape(given_plan: object, **options: Any) -> Shape:
    return [(step.goal, step.needs) for step in read_plan(given_plan, **options)]


def step(goal: str, *needs: int, **more: Any) -> dict[str, Any]:
    return {"goal": goal, "kind": "think", "needs": list(needs), **more}


MENDED: dict[str, tuple[object, Shape]] = {
    "good": ({"steps": [step("aaa"), step("bbb", 1)]}, [("aaa", []), ("bbb", [1])]),
    "forward need": ({"steps": [step("bbb", 2), step("aaa")]}, [("aaa", []), ("bbb", [1])]),
    "unknown number": ({"steps": [step("aaa", 7, 1)]}, [("aaa", [])]),
    "cycle": (
        {"steps": [step("aaa", 2), step("bbb", 3), step("ccc", 1)]},
        [("aaa", []), ("bbb", [1]), ("ccc", [1, 2])],
    ),
    "doubled": (
        {"steps": [step("aaa"), step("Aaa."), step("bbb", 2)]},
        [("aaa", []), ("bbb", [1])],
    ),
    "doubled, counted as if not": (
        {"steps": [step(g, *n) for g, *n in (("aaa",), ("bbb",), ("ccc", 1, 2)) for _ in "12"]},
        [("aaa", []), ("bbb", []), ("ccc", [1, 2])],
    ),
    "texts": ({"steps": ["1. Do this", "2. Do that"]}, [("Do this", []), ("Do that", [1])]),
    "one text": ({"steps": "1. Do this\n2. Do that"}, [("Do this", []), ("Do that", [1])]),
    "JSON in a text": ({"steps": '[{"goal": "aaa"}]'}, [("aaa", [])]),
    "other words": (
        {"plan": [{"id": 1, "task": "aaa"}, {"id": 2, "task": "bbb", "depends_on": "step 1"}]},
        [("aaa", []), ("bbb", [1])],
    ),
    "counted from nought": (
        {"steps": [step("aaa"), step("bbb", 0)]},
        [("aaa", []), ("bbb", [1])],
    ),
    "own numbers": (
        {"steps": [step("aaa", id=10), step("bbb", 10, id=20)]},
        [("aaa", []), ("bbb", [1])],
    ),
    "by number": ({"steps": {"1": "First", "2": "Second"}}, [("First", []), ("Second", [1])]),
    "wrapped": ({"arguments": {"steps": [step("aaa")]}}, [("aaa", [])]),
    "a single step": (step("aaa"), [("aaa", [])]),
    "a list": ([step("aaa"), step("bbb", 1)], [("aaa", []), ("bbb", [1])]),
    "markdown": (
        "Here is my plan:\n\n1. **Look it up**\n2. **Write it down**\nGood luck!",
        [("Look it up", []), ("Write it down", [1])],
    ),
    "Japanese": ("手順1: 調べる\n手順2: まとめる", [("調べる", []), ("まとめる", [1])]),
    "broken JSON": ("```json\n{'steps': [{'goal': 'one step',}]\n```", [("one step", [])]),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_is_meant_is_read(name: str) -> None:
    plan, expected = MENDED[name]
    assert shape(plan) == expected


@pytest.mark.parametrize(
    "plan", [None, "", "no", "I will do it.", {}, {"steps": []}, {"steps": [1, None, {"a": 2}]}, 3]
)
def test_without_steps_it_says_so(plan: object) -> None:
    with pytest.raises(ValueError, match="no steps"):
        read_plan(plan)


def test_numbers_of_finished_steps_are_no_needs_of_the_rest() -> None:
    rest = {"steps": [step("ccc"), step("ddd", 4), step("eee", 3)]}
    assert shape(rest, after=3) == [("ccc", []), ("ddd", [1]), ("eee", [])]


def test_kind_and_promise_are_kept() -> None:
    (made,) = read_plan({"steps": [step("aaa", done_when="it is said")]})
    assert (made.kind, made.done_when) == ("think", "it is said")


def test_twenty_steps_are_joined_to_as_many_as_are_allowed() -> None:
    goals = [f"goal {number}" for number in range(1, 21)]
    long = {"steps": [step(goal, *([n] if n else [])) for n, goal in enumerate(goals)]}
    steps = read_plan(long)
    assert len(steps) == MAX_STEPS
    assert [g for one in steps for g in one.goal.split("; then ")] == goals
    assert [one.needs for one in steps] == [[], *([n] for n in range(1, MAX_STEPS))]


def test_a_joined_step_acts_if_a_part_of_it_does() -> None:
    both = [PlannedStep(goal="aaa", kind="think"), PlannedStep(goal="bbb", kind="act")]
    assert [s.kind for s in condensed(both, 1)] == ["act"]


def test_what_is_finished_is_left_out_of_the_rest() -> None:
    steps = read_plan({"steps": [step("aaa"), step("bbb", 1), step("ccc", 1, 2)]})
    assert [(s.goal, s.needs) for s in renumbered(steps, ["AAA"])] == [("bbb", []), ("ccc", [1])]


_NEEDS = st.one_of(
    st.lists(st.integers(-2, 30), max_size=4), st.text(max_size=5), st.none(), st.booleans()
)
_ENTRY = st.one_of(
    st.text(max_size=12),
    st.none(),
    st.fixed_dictionaries(
        {"goal": st.one_of(st.sampled_from(["aaa", "bbb", "ccc", "ddd"]), st.text(max_size=9))},
        optional={"needs": _NEEDS, "id": st.integers(-1, 9), "kind": st.text(max_size=5)},
    ),
)


@given(st.one_of(st.lists(_ENTRY, max_size=20), st.dictionaries(st.text(max_size=5), _ENTRY)))
def test_whatever_comes_the_plan_can_be_done_in_its_order(entries: object) -> None:
    try:
        steps = read_plan({"steps": entries})
    except ValueError:
        return
    assert 1 <= len(steps) <= MAX_STEPS
    for number, one in enumerate(steps, start=1):
        assert all(1 <= need < number for need in one.needs)
        assert len(one.goal) >= 3
