import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from potluck.server.approvals import Approval, approved, rejected
from potluck.server.openai.approval_card import (
    CardAnswer,
    card_answer,
    card_for,
    card_id,
    decide_by_card,
    takes_cards,
)
from potluck.server.openai.request import ChatRequest, Message

SHELL = Approval("i1", "shell", {"command": "ls\npwd"}, "It may change files.")
MANY = [Approval(f"i{n}", f"tool{n}", {}, "") for n in range(5)]
PARAMETERS: Any = {"type": "object", "properties": {"questions": {"type": "array"}}}
PRESSED = {"type": "option", "option_index": 0, "label": "Approve"}


def request(*tools: dict[str, Any], **more: Any) -> ChatRequest:
    offered = [{"type": "function", "function": tool} for tool in tools]
    said = [{"role": "user", "content": "hi"}]
    body = {"model": "potluck", "messages": said, "tools": offered, **more}
    return ChatRequest.model_validate(body)


ASK_USER = {"name": "ask_user", "parameters": PARAMETERS}


def test_a_card_is_for_who_offers_the_tool_in_a_form_that_is_known() -> None:
    assert takes_cards(request({"name": "other"}, ASK_USER))
    assert not takes_cards(request())
    assert not takes_cards(request({"name": "ask_user"}))
    assert not takes_cards(request({"name": "ask_user", "parameters": {"properties": {"q": {}}}}))
    assert not takes_cards(request(ASK_USER, tool_choice="none"))


def test_the_arguments_keep_the_limits_of_open_webui() -> None:
    long = Approval("i1", "n" * 80, {"text": "x" * 900}, "because")
    body = json.loads(card_for([long, *MANY]).arguments)
    assert 1 <= len(body["questions"]) <= 3
    assert 60_000 <= body["timeout_ms"] <= 240_000
    assert len({question["id"] for question in body["questions"]}) == 3
    for question in body["questions"]:
        assert 0 < len(question["question"]) <= 500
        assert 0 < len(question["header"]) <= 48
        assert 2 <= len(question["options"]) <= 3
        for option in question["options"]:
            assert 0 < len(option["label"]) <= 80
            assert 0 < len(option["description"]) <= 240
    assert "whole above" in body["questions"][0]["question"]


def test_a_question_shows_what_is_to_run_and_why() -> None:
    (question,) = json.loads(card_for([SHELL]).arguments)["questions"]
    assert question["id"] == "approve"
    for part in ("It may change files.", "shell", "ls", "pwd"):
        assert part in question["question"]


def test_a_card_is_known_by_the_approvals_that_it_asks_for() -> None:
    assert card_id(MANY) == card_id(MANY[:3]) == card_for(MANY).id
    assert len({card_id(MANY[:1]), card_id(MANY[:2]), card_id(MANY[1:]), card_id(MANY[3:])}) == 4


def decided(answers: Any, approvals: list[Approval], **more: Any) -> Any:
    text = json.dumps({"status": "answered", "answers": answers, **more})
    return decide_by_card(CardAnswer("c", text), approvals)


def test_each_question_is_answered_by_its_id_and_none_by_silence() -> None:
    answers = {"approve_1": PRESSED, "approve_2": {"option_index": 1, "label": "Reject"}}
    assert decided(answers, MANY) == {"i0": approved(), "i1": rejected(), "i2": rejected()}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Approve",
        0,
        [],
        {},
        {"label": "Approve"},
        {"option_index": 0},
        {"option_index": 1, "label": "Approve"},
        {"option_index": 0, "label": "Reject"},
        {"option_index": False, "label": "Approve"},
        {"option_index": 0.0, "label": "Approve"},
        {"option_index": "0", "label": "Approve"},
        {"type": "strange", "option_index": 0, "label": "Approve"},
        {"type": "other", "text": ""},
        {"type": "other", "text": 5},
    ],
)
def test_whatever_is_no_plain_approval_is_a_rejection(answer: Any) -> None:
    assert decided({"approve": answer}, [SHELL]) == {"i1": rejected()}


def test_own_words_are_a_rejection_that_says_what_to_do_instead() -> None:
    answer = {"type": "other", "text": " Approve "}
    assert decided({"approve": answer}, [SHELL]) == {"i1": rejected("Approve")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "[]",
        "{",
        "[" * 100_000,
        "Error: tool call rejected by user.",
        '{"status": "cancelled", "answers": {}, "timed_out": true}',
        json.dumps({"answers": {"approve": PRESSED}}),
        json.dumps({"status": "cancelled", "answers": {"approve": PRESSED}}),
        json.dumps({"status": "answered", "timed_out": True, "answers": {"approve": PRESSED}}),
        json.dumps({"status": "answered", "answers": [PRESSED]}),
    ],
)
def test_an_answer_that_cannot_be_read_or_came_too_late_is_a_rejection(text: str) -> None:
    assert decide_by_card(CardAnswer("c", text), [SHELL]) == {"i1": rejected()}


def history(name: str, *after: dict[str, Any]) -> list[Message]:
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    return TypeAdapter(list[Message]).validate_python([asked, *after])


def test_only_the_result_of_a_card_at_the_end_is_its_answer() -> None:
    result = {"role": "tool", "tool_call_id": "c", "content": "said"}
    assert card_answer(history("ask_user", result)) == CardAnswer("c", "said")
    assert card_answer(history("search", result)) is None
    assert card_answer(history("ask_user", result, {"role": "user", "content": "hi"})) is None
