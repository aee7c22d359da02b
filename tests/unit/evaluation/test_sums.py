"""Sums over runs: what is not finished costs all the same."""

from typing import Any

from potluck.evaluation.record import Result
from potluck.evaluation.suite import by_class, summed


def result(**more: Any) -> Result:
    plain: dict[str, Any] = {
        "task": "t", "kind": "chat", "model": "m", "ending": "answered", "wrong": (),
        "requests": 2, "input_tokens": 90, "output_tokens": 10, "tool_calls": 0, "seconds": 1.0,
    }  # fmt: skip
    return Result(**{**plain, **more})


def test_only_a_run_with_nothing_wrong_is_finished() -> None:
    assert result().finished
    assert not result(wrong=("no answer",)).finished
    assert not result(ending="loop").finished


def test_requests_of_unfinished_runs_are_borne_by_the_finished_ones() -> None:
    summary = summed("m", [result(), result(requests=4, wrong=("x",))])
    assert (summary.runs, summary.finished, summary.share) == (2, 1, 0.5)
    assert (summary.requests, summary.tokens) == (6.0, 200.0)


def test_loops_and_errors_are_counted_apart() -> None:
    summary = summed("m", [result(ending="loop"), result(ending="timeout"), result(ending="error")])
    assert (summary.loops, summary.errors, summary.finished) == (2, 1, 0)
    assert summary.as_json()["share"] == 0.0


def test_classes_keep_their_order() -> None:
    assert list(by_class([result(kind="web"), result(), result(kind="web")])) == ["web", "chat"]
