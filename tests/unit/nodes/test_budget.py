"""What a run may spend, what is left of it, and when that is nearly nothing."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import TypeAdapter, ValidationError

from graph.state import NOTHING_USED, Context, Elapsed, Left, State, Usage, add_elapsed
from nodes.budget import Budget, is_over, left_of, told_near_end
from nodes.endings import MAX_ROUNDS, ending_of

CONTEXT = TypeAdapter(Context)


def left(**more: Any) -> Left:
    return Left(**{"calls": 20, "tokens": 400_000, "seconds": 1_000.0, "tool_calls": 50, **more})


def used(calls: int, tokens: int = 0) -> Usage:
    return Usage(calls=calls, input_tokens=tokens, output_tokens=0, tool_calls=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_calls": 0}, {"max_calls": 201}, {"max_calls": True}, {"max_calls": "5"},
        {"max_tokens": 10}, {"max_seconds": 0}, {"max_seconds": "1m"}, {"max_tool_calls": -1},
    ],
)  # fmt: skip
def test_bad_limits_are_refused_at_the_doors_and_count_as_none_behind(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        CONTEXT.validate_python(wrong)
    if wrong not in ({"max_calls": 201}, {"max_tokens": 10}):
        assert Budget.of(wrong) == Budget()


def test_good_limits_are_taken() -> None:
    context = CONTEXT.validate_python(
        {"max_calls": 3, "max_tokens": 1000, "max_seconds": 60, "max_tool_calls": 0}
    )
    assert Budget.of(context) == Budget(3, 1000, 60.0, 0)


def test_what_is_left_follows_from_what_was_used() -> None:
    state: Any = State(
        messages=[HumanMessage("x")],
        usage=Usage(calls=2, input_tokens=90, output_tokens=10, tool_calls=3),
        elapsed=Elapsed(began=0, ended=5, seconds=5),
    )
    context = Context(max_calls=5, max_tokens=1000, max_seconds=60, max_tool_calls=4)
    assert left_of(state, context) == Left(calls=3, tokens=900, seconds=55.0, tool_calls=1)


def test_a_graph_that_runs_out_of_steps_has_one_call_left() -> None:
    state: Any = {"messages": [], "remaining_steps": 4}
    assert left_of(state, None)["calls"] == 1


@pytest.mark.parametrize(
    ("given", "usage", "over"),
    [
        (left(), used(5, 5_000), False),
        (left(calls=1), used(5), True),
        (left(seconds=0.0), used(5), True),
        (left(tokens=999), used(5, 5_000), True),
        (left(tokens=1_001), used(5, 5_000), False),
    ],
)
def test_it_is_over_when_one_call_more_would_be_too_much(
    given: Left, usage: Usage, over: bool
) -> None:
    assert is_over(given, usage) == over


def test_a_model_is_told_near_the_end_only() -> None:
    assert told_near_end(left(), None) == ""
    assert "3 more calls" in told_near_end(left(calls=4), None)
    assert "5 tool calls" in told_near_end(left(tool_calls=5), None)
    assert told_near_end(left(calls=2), Context(max_calls=3)) == "", "short runs know no other"


def test_steps_share_what_is_left() -> None:
    def ending(calls: int, working: int) -> str:
        return ending_of(
            1, [HumanMessage("x")], left=left(calls=calls), usage=NOTHING_USED, working=working
        )

    assert (ending(3, 1), ending(2, 1)) == ("", "budget")
    assert (ending(7, 3), ending(6, 3)) == ("", "budget")


def test_a_step_takes_only_so_many_rounds() -> None:
    told: Any = [HumanMessage("x"), *[AIMessage(".")] * MAX_ROUNDS]
    common: Any = {"left": left(), "usage": NOTHING_USED, "working": 1}
    assert ending_of(1, told, **common) == "rounds"
    assert ending_of(None, told, **common) == ""


def test_work_side_by_side_counts_once() -> None:
    def add(*stretches: tuple[float, float]) -> float:
        sum_ = Elapsed(began=0, ended=0, seconds=0)
        for began, ended in stretches:
            sum_ = add_elapsed(sum_, Elapsed(began=began, ended=ended, seconds=ended - began))
        return sum_["seconds"]

    assert add((0, 2), (5, 6)) == 3, "time between the nodes is no work"
    assert add((0, 10), (1, 4)) == 10
    assert add((0, 10), (5, 12)) == 12


def test_a_new_run_begins_at_nought() -> None:
    old = Elapsed(began=0, ended=50, seconds=50)
    fresh = Elapsed(began=60, ended=61, seconds=1, restart=True)
    assert add_elapsed(old, fresh)["seconds"] == 1
