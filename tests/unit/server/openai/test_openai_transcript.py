from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import TypeAdapter

from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import Message
from potluck.server.openai.transcript import (
    IMAGE_LEFT_OUT,
    Said,
    instructions_in,
    strip_blocks,
    to_langchain,
    visible_in_request,
    visible_in_thread,
)

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}


def messages(*given_messages: dict[str, Any]) -> list[Message]:
    return TypeAdapter(list[Message]).validate_python(list(given_messages))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("<details>x</details>answer", "answer"),
        ('a<details type="reasoning" done="true">\nx\n</details>b', "ab"),
        ("a<DETAILS><details>x</details>y</DETAILS>b", "ab"),
        ("a<attached_files><file/></attached_files>b", "ab"),
        ("a<details>never closed", "a<details>never closed"),
        ("a</details>b", "a</details>b"),
        ("<details_of>x</details_of>", "<details_of>x</details_of>"),
    ],
)
def test_strips_what_clients_add_for_display(text: str, kept: str) -> None:
    assert strip_blocks(text) == kept


BLOCK = st.recursive(
    st.sampled_from(["", "x", "a < b"]),
    lambda inner: st.lists(inner, max_size=3).map(
        lambda parts: f"<details open>{''.join(parts)}</details>"
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b < c", "\n"]), BLOCK), max_size=5))
def test_whatever_is_outside_of_blocks_stays(pieces: list[tuple[str, str]]) -> None:
    text = "".join(f"{outside}<details>{block}</details>" for outside, block in pieces)
    assert strip_blocks(text) == "".join(outside for outside, _ in pieces)


def test_stripping_takes_time_in_proportion_to_the_text() -> None:
    nested = "<details>" * 50_000 + "</details>" * 50_000
    assert strip_blocks(nested) == ""
    assert strip_blocks("<details " * 100_000)


def test_thread_and_request_show_the_same_conversation() -> None:
    thread: list[dict[str, Any]] = [
        {"type": "human", "content": "What is 2+2?"},
        {"type": "ai", "content": "Let me see.", "tool_calls": [{"name": "f"}]},
        {"type": "tool", "content": "4"},
        {"type": "ai", "content": [{"type": "text", "text": "It is 4."}]},
        {"type": "human", "content": "Thanks"},
        {"type": "ai", "content": ""},
    ]
    request = messages(
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "What is  2+2?\n"},
        {"role": "assistant", "content": "<details>f()</details>Let me see.\n\nIt is 4."},
        {"role": "user", "content": [{"type": "text", "text": "Thanks"}]},
    )
    assert visible_in_thread(thread) == visible_in_request(request)


def test_an_edited_word_makes_a_difference() -> None:
    before = messages({"role": "user", "content": "Hello there"})
    after = messages({"role": "user", "content": "Hello here"})
    assert visible_in_request(before) != visible_in_request(after)


def test_who_said_it_makes_a_difference() -> None:
    assert visible_in_thread([{"type": "ai", "content": "a"}]) == [Said(by_user=False, text="a")]
    assert visible_in_thread([{"type": "human", "content": "a"}]) == [Said(by_user=True, text="a")]


def test_instructions_are_all_system_and_developer_messages() -> None:
    given_messages = messages(
        {"role": "system", "content": "one"},
        {"role": "user", "content": "hi"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
    )
    assert instructions_in(given_messages) == "one\n\ntwo"


def test_every_role_has_its_langchain_form() -> None:
    arguments = {"name": "f", "arguments": '{"x": 1}'}
    converted = to_langchain(
        messages(
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": arguments}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ),
        vision=False,
    )
    assert [type(m) for m in converted] == [SystemMessage, HumanMessage, AIMessage, ToolMessage]
    assert converted[1].content == "a"
    assert converted[2].tool_calls[0]["args"] == {"x": 1}  # type: ignore[attr-defined]
    assert converted[3].tool_call_id == "c"  # type: ignore[attr-defined]


def test_an_image_nobody_can_see_is_refused_now_and_left_out_of_the_past() -> None:
    seen = {"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE]}
    with pytest.raises(ApiError) as caught:
        to_langchain(messages(seen), vision=False)
    assert caught.value.param == "messages[0].content[1]"
    past = to_langchain(messages(seen, {"role": "user", "content": "and?"}), vision=False)
    assert past[0].content[1] == {"type": "text", "text": IMAGE_LEFT_OUT}


def test_a_model_with_vision_gets_the_image() -> None:
    seen = messages({"role": "user", "content": [IMAGE]})
    assert to_langchain(seen, vision=True)[0].content == [IMAGE]
