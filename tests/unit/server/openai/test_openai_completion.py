from collections.abc import AsyncGenerator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from potluck.server.openai.completion import Header, takes_events, usage_body, whole
from potluck.server.openai.deltas import (
    Accepted,
    Called,
    Cited,
    Delta,
    Finished,
    Pictured,
    Said,
    Status,
    Thought,
)

HEADER = Header("potluck")
END = Finished("stop", 3, 4)


async def reply(*deltas: Delta) -> AsyncGenerator[Delta]:
    for delta in deltas:
        yield delta


async def test_the_whole_holds_everything() -> None:
    made: Any = await whole(
        reply(
            Accepted(),
            Thought("first\n"),
            Thought("then\n"),
            Said("a"),
            Said("b"),
            Called(0, "{", id="c", name="f"),
            Called(1, "[]", id="d", name="g"),
            Called(0, "}"),
            Finished("tool_calls", 1, 2),
        ),
        HEADER,
    )
    assert made["object"] == "chat.completion"
    assert made["usage"]["total_tokens"] == 3
    choice = made["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "ab",
        "reasoning_content": "first\nthen\n",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "d", "type": "function", "function": {"name": "g", "arguments": "[]"}},
        ],
    }


async def test_a_plain_answer_has_no_empty_extras() -> None:
    made: Any = await whole(reply(Said("a"), END), HEADER)
    assert made["choices"][0]["message"] == {"role": "assistant", "content": "a"}
    called: Any = await whole(reply(Called(0, "{}", id="c", name="f"), END), HEADER)
    assert called["choices"][0]["message"]["content"] is None


async def test_pages_and_pictures_stand_beside_the_text() -> None:
    made: Any = await whole(
        reply(
            Accepted(),
            Status("Reading"),
            Cited("https://e.com/a", "A", "text"),
            Pictured("images/a.png", "image/png", "cG5n"),
            Said("See [A](https://e.com/a)."),
            Status("Done", is_done=True),
            END,
        ),
        HEADER,
    )
    message = made["choices"][0]["message"]
    assert message["content"] == "See [A](https://e.com/a)."
    assert message["images"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    ]
    (annotation,) = ChatCompletion.model_validate(made).choices[0].message.annotations or []
    citation = annotation.url_citation
    assert (citation.url, citation.title) == ("https://e.com/a", "A")
    assert message["content"][citation.start_index : citation.end_index] == "https://e.com/a"


def test_details_of_usage_that_nobody_told_are_left_out() -> None:
    assert usage_body(END) == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@pytest.mark.parametrize(
    ("names", "is_open_webui"),
    [
        (["X-OpenWebUI-Chat-Id"], True),
        (["host", "x-openwebui-user-id"], True),
        (["x-chat-id"], False),
    ],
)
def test_open_webui_is_known_by_its_headers(names: list[str], is_open_webui: bool) -> None:
    assert takes_events(names) is is_open_webui
