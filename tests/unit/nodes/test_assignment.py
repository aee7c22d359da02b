"""Which steps can share a request, and what it tells."""

from typing import Any

import pytest

from graph.state import Step
from nodes import assignment
from nodes.assignment import batches_of, step_request


def step(number: int, **facts: Any) -> Step:
    made: dict[str, Any] = {
        "id": number, "goal": f"Goal {number}", "kind": "think", "needs": [], "first": 1,
        "done_when": "", "status": "doing", "result": "", "feedback": "", "attempts": 0,
    }  # fmt: skip
    return Step(**made | facts)


def grouped(*steps: Step, most: int = 3, plan: tuple[Step, ...] = ()) -> list[list[int]]:
    known = {s["id"]: s for s in (*plan, *steps)}
    return [batch["steps"] for batch in batches_of(steps, known, "the task", most=most)]


@pytest.mark.parametrize(
    ("count", "groups"),
    [(0, []), (1, []), (2, [[1, 2]]), (3, [[1, 2, 3]]), (4, [[1, 2, 3]]), (5, [[1, 2, 3], [4, 5]]),
     (8, [[1, 2, 3], [4, 5, 6], [7, 8]])],
)  # fmt: skip
def test_steps_share_up_to_the_most(count: int, groups: list[list[int]]) -> None:
    assert grouped(*(step(number) for number in range(1, count + 1))) == groups


def test_with_a_most_of_one_nothing_is_shared() -> None:
    assert grouped(step(1), step(2), most=1) == []


def test_only_what_needs_no_tools_and_has_not_failed_is_shared() -> None:
    assert grouped(step(1), step(2, kind="act"), step(3, attempts=1), step(4)) == [[1, 4]]


def test_what_is_too_long_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "MAX_BATCH_CHARS", 400)
    long = step(2, goal="x" * 300)
    assert grouped(step(1), long, step(3), step(4)) == [[3, 4]]


def test_a_batch_tells_the_task_and_the_known_once() -> None:
    done = step(1, goal="Find A", status="done", result="A is 5")
    steps = [step(2, needs=[1], done_when="it is said"), step(3, needs=[1])]
    plan = {s["id"]: s for s in (done, *steps)}
    (batch,) = batches_of(steps, plan, "the task", most=3)
    assert batch["request"] == (
        "The user's task, for context:\nthe task\n\n"
        "Results you can build on:\n- Find A: A is 5\n\n"
        "The steps, each to be done for itself:\n"
        "Step 2: Goal 2\nIt is done when: it is said\n\n"
        "Step 3: Goal 3\nIt is done when: the result is there"
    )


def test_a_step_of_a_later_plan_knows_what_the_earlier_one_has_found() -> None:
    steps = [step(1, status="done", result="A"), step(2, status="failed"), step(3, first=3)]
    told = step_request(steps[2], {s["id"]: s for s in steps}, "the task")
    assert "- Goal 1: A" in told
    assert "Goal 2" not in told


def test_a_step_that_is_done_again_is_told_what_was_wrong() -> None:
    again = step(1, feedback="be exact")
    assert "The last try was not good enough: be exact\n" in step_request(again, {1: again}, "t")
