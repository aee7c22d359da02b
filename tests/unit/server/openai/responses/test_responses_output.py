"""Deltas become output items and events that the SDK's types take."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

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
from potluck.server.openai.responses.envelope import Envelope
from potluck.server.openai.responses.output import told
from potluck.server.openai.responses.request import ResponsesRequest
from potluck.server.turn import RunError

Check = Callable[[Any], Any]
END = Finished("stop", 3, 4, cached_tokens=1, reasoning_tokens=2)
PAGE = "https://example.org/a"


def envelope(**asked: Any) -> Envelope:
    return Envelope(ResponsesRequest.model_validate({"model": "potluck", "input": "Hi"} | asked))


async def reply(*deltas: Delta, error: Exception | None = None) -> AsyncGenerator[Delta]:
    for delta in deltas:
        yield delta
    if error is not None:
        raise error


async def events_of(*deltas: Delta, error: Exception | None = None, **asked: Any) -> list[Any]:
    asked = {"stream": True} | asked
    return [event async for event in told(reply(*deltas, error=error), envelope(**asked))]


def kinds(events: list[Any]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def output(events: list[Any]) -> list[Any]:
    return list(events[-1]["response"]["output"])


def text_of(events: list[Any]) -> str:
    return "".join(
        part["text"]
        for item in output(events)
        if item["type"] == "message"
        for part in item["content"]
    )


async def test_an_answer_is_one_message_told_piece_by_piece() -> None:
    events = await events_of(Accepted(), Said("Good "), Said("day"), END)

    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert text_of(events) == "Good day"
    assert events[-1]["response"]["status"] == "completed"


async def test_usage_is_told_with_its_details() -> None:
    events = await events_of(Said("Hi"), END)

    assert events[-1]["response"]["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 7,
    }


async def test_every_event_is_one_of_the_sdk(as_event: Check, as_response: Check) -> None:
    events = await events_of(
        Accepted(),
        Status("Searching"),
        Thought("Searching\n"),
        Cited(PAGE, "A page", "text"),
        Pictured("a.png", "image/png", "aGk="),
        Said(f"See {PAGE}."),
        Called(0, "", id="call_1", name="look"),
        Called(1, '{"a":', id="call_2", name="find"),
        Called(0, "{}"),
        Called(1, "1}"),
        END,
        tools=[
            {"type": "function", "name": "look"},
            {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True},
            {"type": "web_search", "search_context_size": "low"},
        ],
        tool_choice={"type": "function", "name": "look"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        reasoning={"effort": "low", "summary": "auto"},
        metadata={"a": "b"},
        conversation={"id": "conv_1"},
        instructions="Be brief",
        temperature=0.5,
        user="me",
    )

    for event in events:
        as_event(event)
    made = as_response(events[-1]["response"])
    assert [item.type for item in made.output] == [
        "reasoning",
        "image_generation_call",
        "message",
        "function_call",
        "function_call",
    ]
    assert [item.arguments for item in made.output[3:]] == ["{}", '{"a":1}']
    assert [item.call_id for item in made.output[3:]] == ["call_1", "call_2"]


async def test_the_deltas_of_an_item_are_what_it_comes_to() -> None:
    events = await events_of(Thought("a"), Said("b"), Thought("c"), Said("d"), Said("e"), END)

    items = {item["id"]: item for item in output(events)}
    for item_id, item in items.items():
        told_text = "".join(
            event["delta"]
            for event in events
            if event.get("item_id") == item_id and "delta" in event
        )
        parts = item.get("content") or item["summary"]
        assert [part["text"] for part in parts] == [told_text]


async def test_a_sentence_that_is_interrupted_goes_on_in_its_message() -> None:
    events = await events_of(Said("It is fo"), Thought("A could not answer\n"), Said("ur."), END)

    assert [item["type"] for item in output(events)] == ["message", "reasoning"]
    assert text_of(events) == "It is four."


async def test_another_message_of_the_agent_is_another_item() -> None:
    events = await events_of(Said("I look."), Thought("look()\n"), Said("\n\nFour."), END)

    assert [item["type"] for item in output(events)] == ["message", "reasoning", "message"]
    assert text_of(events) == "I look.\n\nFour."


async def test_a_source_is_cited_where_the_text_names_it() -> None:
    page, other = Cited(PAGE, "A page", ""), Cited("https://example.org/b", "B", "")
    events = await events_of(page, page, other, Said("See "), Said(f"{PAGE}!"), END)

    cited = output(events)[0]["content"][0]["annotations"]
    assert [(one["url"], one["start_index"], one["end_index"]) for one in cited] == [
        (PAGE, 4, 4 + len(PAGE)),
        ("https://example.org/b", 5 + len(PAGE), 5 + len(PAGE)),
    ]
    assert kinds(events).index("output_text.annotation.added") < kinds(events).index(
        "output_text.done"
    )


@pytest.mark.parametrize(
    ("reason", "told_reason"), [("length", "max_output_tokens"), ("content_filter",) * 2]
)
async def test_an_answer_that_was_cut_is_incomplete(
    reason: Any, told_reason: str, as_event: Check
) -> None:
    events = await events_of(Said("It is"), Finished(reason, 1, 1))

    as_event(events[-1])
    made = events[-1]["response"]
    assert kinds(events)[-1] == made["status"] == "incomplete"
    assert made["incomplete_details"] == {"reason": told_reason}
    assert made["output"][0]["status"] == "incomplete"


async def test_a_failure_on_the_way_is_told_with_what_was_said(as_event: Check) -> None:
    error = RunError("It broke.", status=502)
    events = await events_of(Accepted(), Said("It is"), error=error)

    made = as_event(events[-1]).response
    assert kinds(events)[-1] == made.status == "failed"
    assert (made.error.code, made.error.message) == ("server_error", "It broke.")
    assert made.output_text == "It is"


@pytest.mark.parametrize("deltas", [(), (Accepted(), Said("It"))])
async def test_a_failure_is_raised_where_nothing_is_streamed(deltas: tuple[Delta, ...]) -> None:
    with pytest.raises(ApiError, match=r"It broke\."):
        await events_of(*deltas, error=RunError("It broke.", status=502), stream=False)


async def test_a_failure_before_the_beginning_is_raised() -> None:
    with pytest.raises(ApiError) as raised:
        await events_of(error=RunError("It broke.", status=502))
    assert raised.value.status == 502


async def test_in_the_background_every_failure_is_told() -> None:
    error = ApiError("Invalid `messages`: no.", param="messages")
    events = await events_of(error=error, background=True)

    assert kinds(events) == ["created", "queued", "failed"]
    assert events[0]["response"]["status"] == "queued"
    assert events[-1]["response"]["error"] == {
        "code": "invalid_prompt",
        "message": "Invalid `input`: no.",
    }


async def test_what_cannot_be_kept_is_replaced() -> None:
    events = await events_of(Said("a\x00b\ud800"), END)

    assert text_of(events) == "a\ufffdb\ufffd"
