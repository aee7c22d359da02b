"""A step's result is held against what the step promised."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from graph.state import Step
from nodes.checks import Surroundings, fault_in
from nodes.settling import cut_short, settle, without_more


def step(**more: Any) -> Step:
    made: dict[str, Any] = {
        "id": 2, "goal": "Do the thing", "kind": "act", "needs": [], "first": 1, "done_when": "",
        "status": "doing", "result": "", "feedback": "", "attempts": 0, **more,
    }  # fmt: skip
    return Step(**made)  # type: ignore[typeddict-item] # whatever the test wants


def around(**more: Any) -> Surroundings:
    return Surroundings(**{"task": "the task", "others": {}, "files": (), **more})


def result(text: str = "ok", name: str = "python", **more: Any) -> ToolMessage:
    return ToolMessage(text, tool_call_id="1", name=name, **more)


def reason(text: str, made: Step | None = None, *ran: ToolMessage, **more: Any) -> str:
    fault = fault_in(made or step(), text, [HumanMessage("x"), *ran], around(**more))
    return fault.reason if fault else ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no result"),
        ("Do the thing.", "only repeated"),
        ("The task", "only repeated"),
        ("I will now call python.", "only announced"),
        ("I have saved it.", "no tool was called"),
        ("I cannot run code here.", "refused"),
    ],
)
def test_words_without_deeds_are_no_result(text: str, told: str) -> None:
    fault = fault_in(step(), text, [HumanMessage("x")], around())
    assert fault is not None
    assert told in fault.reason
    assert fault.is_void


def test_a_deed_may_be_told() -> None:
    assert reason("I have saved it.", None, result()) == ""


def test_a_thought_may_speak_of_deeds() -> None:
    assert reason("I have read that it was done in 1969.", step(kind="think")) == ""


@pytest.mark.parametrize(
    ("done_when", "files", "is_missing"),
    [
        ("report.md exists", (), True),
        ("report.md exists", ("report.md",), False),
        ("The table is saved in out/data.csv", ("out/data.csv",), False),
        ("data.csv is written", ("out/data.csv",), False),
        ("old.txt is deleted", (), False),
        ("it is known whether a.txt exists", (), False),
        ("the page example.com/a.html is read", (), False),
        ("version 3.12 is named", (), False),
    ],
)
def test_a_file_that_is_promised_is_there(
    done_when: str, files: tuple[str, ...], is_missing: bool
) -> None:
    made = step(done_when=done_when)
    assert ("no file" in reason("All is well.", made, result(), files=files)) == is_missing


def test_a_number_that_is_wanted_is_there() -> None:
    made = step(done_when="the total is known", kind="think")
    assert "no number" in reason("It is quite a lot.", made)
    assert reason("It is 42.", made) == ""
    assert reason("There are none.", made) == ""


def test_code_that_is_to_run_has_run_well() -> None:
    made = step(done_when="the script runs without errors")
    failed = result("Traceback", status="error")
    assert "not run" in reason("It runs.", made, result(name="write_file"))
    assert "error" in reason("It runs.", made, result(), failed)
    assert reason("It runs.", made, failed, result()) == ""


def test_two_thoughts_are_not_the_same_word_for_word() -> None:
    same = "Rivers carry water from the mountains to the sea."
    thought = step(kind="think")
    assert "result of step 1" in reason(same, thought, others={1: same})
    assert reason("Yes.", thought, others={1: "Yes."}) == "", "short answers may be the same"


def test_a_broken_promise_is_tried_for_once_more_and_then_told() -> None:
    told = [HumanMessage("x"), AIMessage("A lot.", response_metadata={
        "model_provider": "groq", "model_name": "m",
    })]  # fmt: skip
    first = settle(step(done_when="the total is known"), told, around())
    assert (first["status"], first["attempts"], first["avoid"]) == ("todo", 1, "groq/m")
    assert "no number" in first["feedback"]
    other = [*told[:1], AIMessage("Really a lot.")]
    second = settle(Step(**{**first, "status": "doing"}), other, around())
    assert (second["status"], second["result"]) == ("done", "Really a lot.")
    assert "no number" in second["feedback"], "the doubt stays with it"


def test_nothing_twice_is_a_failure() -> None:
    nothing = [HumanMessage("x"), AIMessage("")]
    first = settle(step(), nothing, around())
    second = settle(Step(**{**first, "status": "doing"}), nothing, around())
    assert (first["status"], second["status"]) == ("todo", "failed")


def test_the_same_words_again_are_not_waited_for_a_third_time() -> None:
    told = [HumanMessage("x"), AIMessage("A lot.")]
    sent_back = step(done_when="the total is known", rejected=["A lot."])
    assert settle(sent_back, told, around())["status"] == "done"


GOOD = {"result": "12 ships", "fault": ""}


@pytest.mark.parametrize("text", ["", "I cannot run code here.", "Many."])
def test_a_sound_result_is_not_given_up_for_less(text: str) -> None:
    sent_back = step(done_when="the total is known", kept=GOOD, attempts=1, feedback="which ships?")
    again = settle(sent_back, [HumanMessage("x"), AIMessage(text)], around())
    assert (again["status"], again["result"]) == ("done", "12 ships")
    assert again["feedback"] == "which ships?", "what was wrong with it stays"


def test_a_better_result_takes_its_place() -> None:
    sent_back = step(done_when="the total is known", kept=GOOD, attempts=1)
    again = settle(sent_back, [HumanMessage("x"), AIMessage("12 ships: Ann, ...")], around())
    assert (again["result"], again["feedback"]) == ("12 ships: Ann, ...", "")


def test_a_doubtful_result_is_better_than_none() -> None:
    made = step(done_when="the total is known")
    first = settle(made, [HumanMessage("x"), AIMessage("A lot.")], around())
    again = Step(**{**first, "status": "doing"})
    second = settle(again, [HumanMessage("x"), AIMessage("")], around())
    assert (second["status"], second["result"]) == ("done", "A lot.")
    assert "no number" in second["feedback"]


def test_the_end_of_the_budget_leaves_an_earlier_result() -> None:
    cut = cut_short(step(kept=GOOD), [HumanMessage("x"), result("2 is found")])
    assert (cut["status"], cut["result"]) == ("done", "12 ships")
    assert "budget" in cut["feedback"]
    assert without_more(step(), "why")["status"] == "failed"


def test_what_is_cut_short_tells_what_was_found() -> None:
    cut = cut_short(step(), [HumanMessage("x"), AIMessage("So far: 1"), result("2 is found")])
    assert cut["status"] == "failed"
    assert "budget" in cut["result"]
    assert "2 is found" in cut["result"]
