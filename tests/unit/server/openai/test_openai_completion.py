import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from potluck.server.openai.completion import Header, chunks, whole
from potluck.server.openai.deltas import Accepted, Called, Delta, Finished, Said, Thought
from potluck.server.openai.errors import ApiError

HEADER = Header("potluck")
END = Finished("stop", 3, 4)


async def reply(*deltas: Delta | ApiError) -> AsyncGenerator[Delta]:
    for delta in deltas:
        if isinstance(delta, ApiError):
            raise delta
        yield delta


async def events(*deltas: Delta | ApiError, include_usage: bool = False) -> list[Any]:
    stream = chunks(reply(*deltas), HEADER, include_usage=include_usage)
    sent = [event async for event in stream]
    assert all(event.startswith(b"data: ") and event.endswith(b"\n\n") for event in sent)
    assert sent.pop() == b"data: [DONE]\n\n"
    return [json.loads(event.removeprefix(b"data: ")) for event in sent]


def deltas_of(sent: list[Any]) -> list[Any]:
    return [event["choices"][0]["delta"] for event in sent if event["choices"]]


async def test_a_stream_keeps_its_identity_and_ends_once() -> None:
    sent = await events(Accepted(), Thought("t"), Said("a"), Said("b"), END)
    assert {(e["id"], e["created"], e["model"], e["object"]) for e in sent} == {
        (HEADER.id, HEADER.created, "potluck", "chat.completion.chunk")
    }
    assert deltas_of(sent) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "t"},
        {"content": "a"},
        {"content": "b"},
        {},
    ]
    reasons = [event["choices"][0]["finish_reason"] for event in sent]
    assert reasons == [None, None, None, None, "stop"]


async def test_the_usage_comes_last_and_only_when_asked_for() -> None:
    assert not any("usage" in event for event in await events(Said("a"), END))
    last = (await events(Said("a"), END, include_usage=True))[-1]
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


async def test_pieces_of_a_tool_call_carry_their_index_and_the_first_its_name() -> None:
    sent = await events(
        Called(0, "", id="c", name="f"), Called(0, "{}"), Finished("tool_calls", 0, 0)
    )
    assert deltas_of(sent)[1:3] == [
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
    ]


async def test_a_failure_before_the_first_event_is_raised() -> None:
    with pytest.raises(ApiError):
        await events(ApiError("no"))


async def test_a_failure_in_mid_stream_is_a_chunk_without_choices() -> None:
    sent = await events(Said("a"), ApiError("broken", 502, "server_error", code="x"))
    assert sent[-1] == {
        "error": {"message": "broken", "type": "server_error", "param": None, "code": "x"}
    }


async def test_half_a_character_does_not_break_the_stream() -> None:
    assert deltas_of(await events(Said("a\ud800b"), END))[1] == {"content": "a?b"}


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
