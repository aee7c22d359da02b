"""What can be used of the results that a model hands in for several steps."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from nodes.batch import results_in


def handed_in(results: Any, *, reason: str = "tool_calls", name: str = "submit_results") -> Any:
    return AIMessage(
        "",
        tool_calls=[{"name": name, "args": {"results": results}, "id": "1"}],
        response_metadata={"finish_reason": reason},
    )


def part(step: Any, result: Any) -> dict[str, Any]:
    return {"step": step, "result": result}


def test_each_result_belongs_to_its_step() -> None:
    reply = handed_in([part(3, " three "), part("2", "two")])
    assert results_in(reply, [2, 3]) == {2: "two", 3: "three"}


@pytest.mark.parametrize(
    "bad",
    [part(2, ""), part(2, "  "), part(2, None), part(2, {"x": 1}), part(7, "x"), {"step": 2},
     part("two", "x"), "2: x", None],
)  # fmt: skip
def test_a_part_that_cannot_be_used_does_not_spoil_the_others(bad: Any) -> None:
    assert results_in(handed_in([bad, part(1, "one")]), [1, 2]) == {1: "one"}


def test_the_first_result_of_a_step_counts() -> None:
    assert results_in(handed_in([part(1, "one"), part(1, "other")]), [1, 2]) == {1: "one"}


def test_the_last_part_of_a_cut_answer_is_not_believed() -> None:
    reply = handed_in([part(1, "one"), part(2, "tw")], reason="length")
    assert results_in(reply, [1, 2]) == {1: "one"}


@pytest.mark.parametrize(
    "reply",
    [
        AIMessage("I did both."),
        AIMessage('{"results": [{"step": 1, "result": "quoted from a file"}]}'),
        handed_in([part(1, "one")], name="other"),
        handed_in("nothing"),
        AIMessage("", tool_calls=[{"name": "submit_results", "args": {}, "id": "1"}]),
    ],
)
def test_what_was_not_handed_in_is_not_there(reply: AIMessage) -> None:
    assert results_in(reply, [1, 2]) == {}
