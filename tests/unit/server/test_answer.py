"""The answer in the parts of a turn: each text exactly once."""

import pytest

from potluck.server.answer import Answer
from potluck.server.turn import Piece, Values


def piece(text: str, message_id: str = "m1", *, for_user: bool = True) -> Piece:
    message = {"type": "AIMessageChunk", "id": message_id, "content": text}
    return Piece(message, node="triage", for_user=for_user)


def test_the_answer_is_what_is_for_the_user() -> None:
    answer = Answer()
    parts = [piece("plan", "m0", for_user=False), piece("Hel"), piece("lo")]
    assert [answer.take(part) for part in parts] == ["", "Hel", "lo"]
    assert answer.rest() == ""


def test_a_blank_line_parts_two_messages() -> None:
    answer = Answer()
    assert answer.take(piece("Let me look.", "m1")) == "Let me look."
    assert answer.take(piece("", "m2")) == ""
    assert answer.take(piece("Found", "m2")) == "\n\nFound"
    assert answer.take(piece(" it.", "m2")) == " it."


def said(*texts: tuple[str, str, str]) -> Values:
    return Values({"messages": [{"type": t, "id": i, "content": c} for t, i, c in texts]})


def test_what_was_not_streamed_comes_at_the_end() -> None:
    answer = Answer()
    answer.take(piece("Wait.", "m1"))
    answer.take(said(("human", "h", "hi"), ("ai", "m1", "Wait."), ("ai", "m2", "Which file?")))
    assert answer.rest() == "\n\nWhich file?"


@pytest.mark.parametrize("message_id", ["m1", "other"])
def test_what_was_streamed_does_not_come_twice(message_id: str) -> None:
    answer = Answer()
    answer.take(piece("Hello", "m1"))
    answer.take(said(("human", "h", "hi"), ("ai", message_id, "Hello")))
    assert answer.rest() == ""


def test_the_answer_of_an_earlier_turn_is_not_repeated() -> None:
    answer = Answer()
    answer.take(said(("human", "h1", "hi"), ("ai", "m0", "Old answer"), ("human", "h2", "again")))
    assert answer.rest() == ""


def test_what_was_said_before_a_resume_is_no_news() -> None:
    answer = Answer(is_resumed=True)
    answer.take(said(("human", "h", "hi"), ("ai", "m1", "Let me write it.")))
    assert answer.rest() == ""
    answer.take(said(("human", "h", "hi"), ("ai", "m1", "Let me write it."), ("ai", "m2", "Done.")))
    assert answer.rest() == "Done."
