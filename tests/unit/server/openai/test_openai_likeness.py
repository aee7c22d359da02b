from typing import Any

import pytest
from pydantic import TypeAdapter

from potluck.server.openai.likeness import clean, digest, is_like, parted, rest_of, through_user
from potluck.server.openai.request import Message
from potluck.server.openai.transcript import CONTINUE

USER = {"role": "user", "content": "one"}
ANSWER = {"role": "assistant", "content": "first answer"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def said(*items: Any) -> list[Message]:
    return TypeAdapter(list[Message]).validate_python(list(items))


def card(call_id: str = "ask_1", text: str = "May I?") -> dict[str, Any]:
    function = {"name": "ask_user", "arguments": "{}"}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": text, "tool_calls": [call]}


def result(call_id: str = "ask_1", text: str = "yes") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def test_a_digest_does_not_mind_spaces_blocks_and_images_left_out() -> None:
    trimmed = {"role": "assistant", "content": "<details>thoughts</details>\nfirst\n\nanswer "}
    assert digest(said(USER, ANSWER)) == digest(said(USER, trimmed))
    seen = {"role": "user", "content": [{"type": "text", "text": "one"}, IMAGE]}
    note = "[an image from earlier in this conversation, which is no longer shown]"
    left_out = {"role": "user", "content": f"one\n{note}"}
    assert digest(said(seen)) == digest(said(left_out)) == digest(said(USER))


@pytest.mark.parametrize(
    "other",
    [
        [ANSWER],
        [{"role": "user", "content": "two"}, ANSWER],
        [USER, {"role": "assistant", "content": "first answer, edited"}],
        [USER, ANSWER, USER],
        [{"role": "assistant", "content": "one"}, {"role": "user", "content": "first answer"}],
    ],
)
def test_a_digest_tells_other_conversations_apart(other: list[Any]) -> None:
    assert digest(said(*other)) != digest(said(USER, ANSWER))


def test_an_answered_card_is_part_of_a_digest_and_an_open_one_is_not() -> None:
    plain = said(USER, {"role": "assistant", "content": "May I?"})
    assert digest(said(USER, card())) == digest(plain)
    answered = digest(said(USER, card(), result()))
    assert answered != digest(plain)
    assert answered != digest(said(USER, card("ask_2"), result("ask_2")))


def test_new_is_all_that_follows_the_last_answer() -> None:
    history = said(USER, ANSWER, USER, USER)
    before, new = parted(history)
    assert (list(before), list(new)) == (history[:2], history[2:])
    assert parted(said(USER)) == ([], said(USER))
    assert parted(said(USER, ANSWER)) == (said(USER, ANSWER), [])


def test_a_question_ends_with_what_the_user_said_last() -> None:
    assert through_user(said(USER, card(), result())) == said(USER)
    assert through_user(said(ANSWER)) == []


THREAD = [
    {"type": "human", "content": "one"},
    {"type": "ai", "content": "first", "tool_calls": [{"id": "c"}]},
    {"type": "tool", "content": "hidden"},
    {"type": "ai", "content": [{"type": "text", "text": "answer"}]},
]


def test_a_thread_is_like_what_its_client_shows_of_it() -> None:
    assert is_like(said(USER, ANSWER), THREAD)
    assert not is_like(said(USER), THREAD)
    assert not is_like(said(USER, {"role": "assistant", "content": "first"}), THREAD)
    continued = [*THREAD, {"type": "human", "content": CONTINUE}, {"type": "ai", "content": "!"}]
    assert is_like(said(USER, {"role": "assistant", "content": "first answer!"}), continued)


def test_what_was_found_in_files_is_no_difference_and_another_text_is() -> None:
    def asked(text: str) -> list[dict[str, Any]]:
        return [{"type": "human", "content": text}, *THREAD[1:]]

    assert is_like(said(USER, ANSWER), asked("### Task:\n<context>facts</context>\none"))
    assert not is_like(said(USER, ANSWER), asked("### Task:\n<context>facts</context>\ntwo"))
    assert not is_like(said(USER, ANSWER), asked("one and one"))


def test_a_model_sees_no_cards_and_no_lists_of_files() -> None:
    files = '<attached_files>\n<file type="file" id="f"/>\n</attached_files>\n\n'
    text = {"type": "text", "text": files + "look"}
    history = said(
        {"role": "user", "content": files + "one"},
        card(text=""),
        result(),
        card("ask_2"),
        result("ask_2"),
        {"role": "user", "content": [text, IMAGE]},
    )
    seen = clean(history)
    assert [one.role for one in seen] == ["user", "assistant", "user"]
    assert seen[0] == said(USER)[0]
    assert seen[1] == said({"role": "assistant", "content": "May I?"})[0]
    assert (
        seen[2] == said({"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE]})[0]
    )


@pytest.mark.parametrize(
    ("text", "beginning", "rest"),
    [
        ("first answer", "", "first answer"),
        ("first\nans wer, and more", "first answer", ", and more"),
        ("first answer", "first answer ", ""),
        ("first", "first answer", None),
        ("other answer", "first", None),
    ],
)
def test_the_rest_of_a_text_is_what_follows_its_beginning(
    text: str, beginning: str, rest: str | None
) -> None:
    assert rest_of(text, beginning) == rest
