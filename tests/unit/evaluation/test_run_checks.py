"""What really happened decides: files, calls and facts, not friendly words."""

from typing import Any

import pytest

from potluck.evaluation.checks import PNG, wrong_in
from potluck.evaluation.record import MadeCall, Record
from potluck.evaluation.task import Task


def task(checks: dict[str, Any], **more: Any) -> Task:
    given = {"id": "x", "class": "files", "request": "r", "answer": "a"}
    return Task.model_validate({**given, "checks": checks, **more})


def wrong(checks: dict[str, Any], answer: str = "Done.", **more: Any) -> tuple[str, ...]:
    files = more.pop("after", {})
    calls = [MadeCall(name, {}, ok=ok) for name, ok in more.pop("calls", ())]
    return wrong_in(task(checks, **more), Record(answer=answer, calls=calls), files)


def test_an_empty_answer_is_wrong() -> None:
    assert wrong({}, "  ") == ("no answer",)


@pytest.mark.parametrize("answer", ["It is 1234567.", "It is 1,234,567.", "It is 1 234 567."])
def test_numbers_may_be_written_with_separators(answer: str) -> None:
    assert wrong({"answer_has": ["1234567"]}, answer) == ()


def test_facts_that_are_missing_or_made_up_are_told() -> None:
    assert wrong({"answer_has": ["391"]}, "It is 392.") == ("the answer lacks '391'",)
    assert wrong({"answer_lacks": [r"\d+ days"]}, "30 days.") == (r"the answer claims '\\d+ days'",)


def test_a_call_counts_only_when_it_went_well() -> None:
    assert wrong({"called": ["python"]}, calls=[("python", True)]) == ()
    assert wrong({"called": ["python"]}, calls=[("python", False)]) == ("python was not used",)


def test_tools_used_for_nothing_are_told() -> None:
    assert wrong({"not_called": ["*"]}, calls=[("shell", True)])
    assert wrong({"not_called": ["write_file"]}, calls=[("read_file", True)]) == ()


def test_who_should_ask_must_ask_and_not_act() -> None:
    assert wrong({"asks": True}, "Which one?") == ()
    assert wrong({"asks": True}, "どちらですか。") == ()
    assert wrong({"asks": True}, "I deleted it.") == ("nothing was asked back",)
    assert wrong({"asks": True}, "Which one?", calls=[("edit_file", True)])


def test_what_was_given_must_stay_and_nothing_else_be_made() -> None:
    given = {"files": {"a.txt": "1"}}
    assert wrong({}, after={"a.txt": b"1", "tool_results/x.txt": b"long"}, **given) == ()
    assert wrong({}, after={"a.txt": b"2"}, **given) == ("a.txt was changed",)
    assert wrong({}, after={}, **given) == ("a.txt was removed",)
    assert wrong({}, after={"a.txt": b"1", "b.txt": b""}, **given) == ("b.txt was made",)


def test_files_are_compared_with_what_they_must_be() -> None:
    may = {"may_write": ["*"]}
    equals = {"files": [{"path": "a", "equals": "x\n"}], **may}
    assert wrong(equals, after={"a": b"x"}) == ()
    assert wrong(equals, after={"a": b"y"})
    assert wrong(equals)
    parts = {"files": [{"path": "a", "has": ["x"], "lacks": ["y"]}], **may}
    assert wrong(parts, after={"a": b"axb"}) == ()
    assert len(wrong(parts, after={"a": b"y"})) == 2


def test_a_picture_is_known_by_what_it_holds() -> None:
    checks = {"files": [{"path": "p.png", "picture": True}], "may_write": ["p.png"]}
    assert wrong(checks, after={"p.png": PNG + bytes(80)}) == ()
    assert wrong(checks, after={"p.png": b"not at all"}) == ("p.png is no picture",)
