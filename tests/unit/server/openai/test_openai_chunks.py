import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from potluck.server.openai.chunks import chunks
from potluck.server.openai.completion import Header
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
from potluck.server.openai.errors import ApiError

HEADER = Header("potluck")
END = Finished("stop", 3, 4)


async def reply(*deltas: Delta | ApiError) -> AsyncGenerator[Delta]:
    for delta in deltas:
        if isinstance(delta, ApiError):
            raise delta
        yield delta


async def events(
    *deltas: Delta | ApiError, include_usage: bool = False, header: Header = HEADER
) -> list[Any]:
    stream = chunks(reply(*deltas), header, include_usage=include_usage)
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


PAGE = Cited("https://example.com/tea", "On tea", "Tea is made of leaves.")
PICTURE = Pictured("images/a.png", "image/png", "cG5n")
OPEN_WEBUI = Header("potluck", has_events=True)


async def test_pages_are_annotations_at_the_end_with_the_place_where_each_is_named() -> None:
    other = Cited("https://example.com/", "Home", "")
    sent = await events(
        Accepted(), PAGE, other, Said("See https://example.com"), Said("/tea."), END
    )
    assert deltas_of(sent)[-2:] == [
        {
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": "https://example.com/tea",
                        "title": "On tea",
                        "start_index": 4,
                        "end_index": 27,
                    },
                },
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": "https://example.com/",
                        "title": "Home",
                        "start_index": 0,
                        "end_index": 28,
                    },
                },
            ]
        },
        {},
    ]


async def test_a_picture_is_sent_as_it_comes_and_never_in_the_text() -> None:
    sent = await events(Accepted(), PICTURE, Said("Look."), END)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    assert deltas_of(sent)[1:3] == [{"images": [picture]}, {"content": "Look."}]


async def test_a_status_is_for_open_webui_alone() -> None:
    sent = await events(Accepted(), Status("Reading"), Said("a"), Status("Done", is_done=True), END)
    assert deltas_of(sent) == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]
    assert not any("event" in event for event in sent)


async def test_open_webui_gets_events_on_chunks_that_any_client_can_read() -> None:
    sent = await events(
        Accepted(),
        Status("Reading"),
        PAGE,
        Said("a"),
        Status("Done", is_done=True),
        END,
        header=OPEN_WEBUI,
    )
    carrying = [event for event in sent if "event" in event]
    assert [event["event"] for event in carrying] == [
        {"type": "status", "data": {"description": "Reading", "done": False, "hidden": False}},
        {
            "type": "source",
            "data": {
                "source": {"name": "On tea", "url": "https://example.com/tea"},
                "document": ["Tea is made of leaves."],
                "metadata": [
                    {"source": "https://example.com/tea", "name": "On tea", "external": True}
                ],
            },
        },
        {"type": "status", "data": {"description": "Done", "done": True, "hidden": False}},
    ]
    for event in sent:
        chunk = ChatCompletionChunk.model_validate(event)
        assert chunk.id == OPEN_WEBUI.id
    assert all(event["choices"][0]["delta"] == {} for event in carrying)
    assert all(event["choices"][0]["finish_reason"] is None for event in carrying)


async def test_open_webui_is_told_of_a_page_once() -> None:
    """It makes a source of each annotation, too."""
    sent = await events(Accepted(), PAGE, Said("a"), END, header=OPEN_WEBUI)
    assert not any("annotations" in delta for delta in deltas_of(sent))


async def test_a_last_status_without_words_hides_the_others() -> None:
    sent = await events(Status("Reading"), Status("", is_done=True), END, header=OPEN_WEBUI)
    data = [event["event"]["data"] for event in sent if "event" in event]
    assert data[-1] == {"description": "", "done": True, "hidden": True}


async def test_usage_tells_what_was_cached_and_thought_where_it_is_known() -> None:
    end = Finished("stop", 3, 4, cached_tokens=2, reasoning_tokens=1)
    last = (await events(end, include_usage=True))[-1]
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
    assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}
