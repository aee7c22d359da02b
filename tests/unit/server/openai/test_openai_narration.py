from typing import Any

from potluck.events import Event
from potluck.server.openai.deltas import Cited, Delta, Pictured, Status, Thought
from potluck.server.openai.narration import Narration

STEP = {"type": "step", "node": "triage", "text": "Reading the request"}
CALL = {"type": "tool_call", "id": "1", "name": "python", "args": {"code": "1"}}
PAGE = {"type": "source", "id": "1", "url": "https://e.com", "title": "E", "text": "about"}
PICTURE = {
    "type": "picture",
    "id": "1",
    "path": "images/a.png",
    "mime_type": "image/png",
    "base64": "cG5n",
}


def told(*events: dict[str, Any]) -> list[Delta]:
    narration = Narration()
    typed: list[Event] = list(events)  # type: ignore[arg-type]
    return [*(delta for event in typed for delta in narration.tell(event)), *narration.end()]


def test_a_step_is_a_thought_and_a_status() -> None:
    assert told(STEP)[:2] == [Thought("Reading the request\n"), Status("Reading the request")]


def test_the_status_of_a_turn_that_only_answers_is_hidden_at_its_end() -> None:
    assert told(STEP)[-1] == Status("", is_done=True)


def test_that_it_waited_or_began_to_answer_need_not_be_looked_up() -> None:
    until = "2026-11-21T14:05:09.000+00:00"
    wait = {"type": "waiting", "until": until, "reason": "", "waiting_for": []}
    begun = {"type": "answer_begun", "id": "m"}
    statuses = [one for one in told(STEP, wait, begun) if type(one) is Status]
    assert [one.text for one in statuses[1:]] == [
        "Waiting for quota until 14:05 UTC",
        "Answering",
        "",
    ]
    assert statuses[-1].is_done


def test_work_with_tools_can_be_looked_up_afterwards() -> None:
    assert told(STEP, CALL)[-1] == Status("Done", is_done=True)


def test_the_same_status_is_not_told_twice_in_a_row() -> None:
    thinking = {"type": "step", "node": "model", "text": "Thinking"}
    statuses = [one.text for one in told(thinking, thinking, CALL, thinking) if type(one) is Status]
    assert statuses == ["Thinking", "Running Python", "Thinking", "Done"]


def test_a_page_is_cited_once_however_often_it_is_read() -> None:
    again = {**PAGE, "id": "2", "text": "more"}
    assert told(PAGE, again) == [Cited("https://e.com", "E", "about")]


def test_a_page_without_a_title_is_called_by_its_address() -> None:
    assert told({**PAGE, "title": ""}) == [Cited("https://e.com", "https://e.com", "about")]


def test_a_picture_is_shown_once_in_each_call() -> None:
    shown = [one for one in told(PICTURE, PICTURE, {**PICTURE, "id": "2"}) if type(one) is Pictured]
    assert shown == [Pictured("images/a.png", "image/png", "cG5n")] * 2


def test_nothing_told_means_no_last_status() -> None:
    assert told() == []


def test_a_turn_that_fails_says_so_even_if_it_only_thought() -> None:
    narration = Narration()
    step: Any = STEP
    narration.tell(step)
    assert narration.end("It failed") == [Status("It failed", is_done=True)]
    assert narration.end() == []
