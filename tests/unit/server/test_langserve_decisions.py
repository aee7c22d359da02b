"""Decisions over the LangServe door: which fit, which are refused and why."""

from typing import Any

import pytest
from pydantic import ValidationError

from potluck.server.approvals import Approval, approved, edited, rejected
from potluck.server.langserve_decisions import DecisionError, Decisions
from potluck.server.langserve_wire import AgentInput

TWO = [Approval("i1", "shell", {"command": "ls"}, ""), Approval("i2", "write_file", {}, "")]
APPROVE = {"type": "approve"}


def resume(given: Any) -> Any:
    return Decisions.read({"decisions": given}).for_pending(TWO)


def test_all_in_their_order() -> None:
    given = [{"type": "reject", "message": "no"}, APPROVE]
    assert resume(given) == {"i1": rejected("no"), "i2": approved()}


def test_some_by_their_ids() -> None:
    assert resume({"i2": APPROVE}) == {"i2": approved()}


def test_an_edit_keeps_the_tool_that_it_does_not_name() -> None:
    action: dict[str, Any] = {"args": {"command": "pwd"}}
    one = {"type": "edit", "edited_action": action}
    other = {"type": "edit", "edited_action": {"name": "python", **action}}
    assert resume({"i1": one, "i2": other}) == {
        "i1": edited("shell", {"command": "pwd"}),
        "i2": edited("python", {"command": "pwd"}),
    }


@pytest.mark.parametrize(
    ("given", "words"), [([APPROVE], "1 decisions for 2"), ({"x": APPROVE}, "i1, i2")]
)
def test_what_does_not_fit_what_waits_is_refused(given: Any, words: str) -> None:
    with pytest.raises(DecisionError, match=words):
        resume(given)


def test_without_anything_that_waits_there_is_nothing_to_decide() -> None:
    with pytest.raises(DecisionError, match="Nothing waits"):
        Decisions.read({"decisions": [APPROVE]}).for_pending([])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "is empty"),
        ({}, "is empty"),
        (None, "list"),
        ({"i1": {"type": "yes"}}, r"\['i1'\]"),
        ([{"type": "edit", "edited_action": {"args": "ls"}}], "dict"),
        ([{"type": "approve", "message": "but"}], "Extra inputs"),
        ([{"type": "reject", "mesage": "typo"}], "Extra inputs"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Decisions.read({"decisions": given})


def test_the_input_takes_decisions_beside_messages() -> None:
    assert isinstance(AgentInput.model_validate({"decisions": [APPROVE]}).root, Decisions)
    with pytest.raises(ValidationError, match="stand alone"):
        AgentInput.model_validate({"decisions": [APPROVE], "messages": "hi"})
