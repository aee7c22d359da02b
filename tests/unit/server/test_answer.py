"""The answer in the parts of a turn: each text exactly once."""

import pytest

from potluck.server.answer import ANEW, Answer
from potluck.server.turn import Begun, Missed, Part, Piece, Values


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


BEGUN = Begun("r")
ASKED = ("human", "h", "hi")


def read(*parts: Part) -> str:
    answer = Answer()
    return "".join(answer.take(part) for part in parts) + answer.rest()


@pytest.mark.parametrize(
    "pieces", [["one two", " three"], ["one", " two", " three"], ["one two t"]]
)
def test_what_is_written_again_comes_once(pieces: list[str]) -> None:
    final = "".join(pieces)
    again = [piece(text, "m2") for text in pieces]
    parts = [BEGUN, said(ASKED), piece("one"), piece(" two"), BEGUN, said(ASKED), *again]
    assert read(*parts, said(ASKED, ("ai", "m2", final))) == final


def test_what_is_out_is_not_said_while_it_is_written_again() -> None:
    answer = Answer()
    parts = [BEGUN, piece("one two"), BEGUN, piece("one", "m2"), piece(" two three", "m2")]
    assert [answer.take(part) for part in parts] == ["", "one two", "", "", " three"]
    assert not answer.is_anew


def test_another_answer_comes_whole_after_a_word_of_warning() -> None:
    answer = Answer()
    parts = [BEGUN, piece("one two"), BEGUN, piece("one", "m2"), piece(" too", "m2")]
    assert [answer.take(part) for part in parts] == ["", "one two", "", "", f"{ANEW}one too"]
    assert answer.take(piece("!", "m2")) == "!"
    answer.take(said(ASKED, ("ai", "m2", "one too!")))
    assert answer.rest() == ""
    assert answer.is_anew


def test_an_answer_that_ends_earlier_than_what_is_out_is_another() -> None:
    parts = [BEGUN, piece("one two"), BEGUN, piece("one", "m2")]
    assert read(*parts, said(ASKED, ("ai", "m2", "one"))) == f"one two{ANEW}one"


def test_what_a_state_holds_is_not_written_again() -> None:
    remark = ("ai", "m1", "Let me look.")
    parts = [BEGUN, piece("Let me look."), said(ASKED, remark), piece("It", "m2")]
    again = [BEGUN, said(ASKED, remark), piece("It", "m3"), piece(" is.", "m3")]
    last = said(ASKED, remark, ("ai", "m3", "It is."))
    assert read(*parts, *again, last) == "Let me look.\n\nIt is."


def test_a_state_that_was_not_told_before_the_takeover_settles_its_message() -> None:
    remark = ("ai", "m1", "Let me look.")
    parts = [BEGUN, piece("Let me look."), BEGUN, said(ASKED, remark), piece("Found.", "m2")]
    assert read(*parts) == "Let me look.\n\nFound."


def test_an_answer_from_the_state_counts_as_written_again() -> None:
    parts = [BEGUN, piece("one"), BEGUN, said(ASKED, ("ai", "m2", "one two"))]
    assert read(*parts) == "one two"


def test_words_after_a_hole_wait_for_the_state() -> None:
    answer = Answer()
    parts = [BEGUN, piece("one"), Missed(), piece(" three")]
    assert [answer.take(part) for part in parts] == ["", "one", "", ""]
    assert answer.take(said(ASKED, ("ai", "m1", "one two three"))) == " two three"
    assert answer.take(piece("More", "m2")) == "\n\nMore"


def test_an_answer_cut_in_its_stream_is_whole_in_the_end() -> None:
    parts = [BEGUN, piece("one"), Missed(), said(ASKED, ("ai", "m1", "one two"))]
    assert read(*parts) == "one two"


def test_an_answer_none_of_which_was_streamed_is_whole_in_the_end() -> None:
    assert read(BEGUN, Missed(), said(ASKED, ("ai", "m1", "one two"))) == "one two"


def test_a_state_under_another_id_goes_on_from_what_is_out() -> None:
    parts = [BEGUN, piece("one"), Missed(), said(ASKED, ("ai", "other", "one two"))]
    assert read(*parts) == "one two"


def test_two_messages_that_the_state_holds_as_one_do_not_come_twice() -> None:
    parts = [piece("A", "m1"), piece("B", "m2"), Missed(), said(ASKED, ("ai", "m2", "A\n\nB"))]
    assert read(*parts) == "A\n\nB"
