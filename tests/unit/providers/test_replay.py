"""What is worth keeping of an answer, and how it is given again."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from potluck.cache.entry import Entry, KeptCall
from potluck.providers.replay import Replay, entry_of, is_cached

SIGNED = {"model_provider": "groq", "model_name": "openai/gpt-oss-120b", "finish_reason": "stop"}
LOOK = {"name": "look", "args": {"at": "x"}, "id": "call_1"}


def answer(content: Any = "It is 391.", *, marks: Any = (), **facts: Any) -> AIMessage:
    return AIMessage(content, response_metadata=SIGNED | dict(marks), **facts)


async def streamed(entry: Entry) -> list[AIMessageChunk]:
    return [chunk async for chunk in Replay(entry=entry).astream("asked")]


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return chunks[0] + chunks[1:]


def test_a_whole_answer_is_kept_with_what_it_cost() -> None:
    used = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert entry_of(answer(usage_metadata=used)) == Entry(
        "groq", "openai/gpt-oss-120b", "stop", text="It is 391.", input_tokens=7, output_tokens=3
    )


@pytest.mark.parametrize(
    "whole",
    [
        answer("", tool_calls=[LOOK], marks={"finish_reason": "tool_calls"}),
        answer([{"type": "text", "text": "It"}, " is."]),
        answer([{"type": "thinking", "thinking": "hm", "signature": "s"}, "It is."]),
        answer(marks={"finish_reason": "STOP"}),
        answer(marks={"finish_reason": None, "done_reason": "stop"}),
        answer(marks={"models": ["groq/openai/gpt-oss-120b"]}),
    ],
)
def test_whole_answers_are_kept(whole: AIMessage) -> None:
    assert entry_of(whole) is not None


@pytest.mark.parametrize(
    "doubtful",
    [
        pytest.param(answer(marks={"model_provider": "offline"}), id="offline"),
        pytest.param(AIMessage("hm", response_metadata={"finish_reason": "stop"}), id="by nobody"),
        pytest.param(answer(marks={"finish_reason": "length"}), id="cut off"),
        pytest.param(answer(marks={"finish_reason": "error"}), id="failed"),
        pytest.param(answer(marks={"finish_reason": "content_filter"}), id="filtered"),
        pytest.param(answer(marks={"finish_reason": None}), id="perhaps cut off"),
        pytest.param(answer(marks={"models": ["groq/a", "together/b"]}), id="patched"),
        pytest.param(answer(" "), id="empty"),
        pytest.param(answer([{"type": "image_url", "image_url": "x"}, "See."]), id="image"),
        pytest.param(
            answer(invalid_tool_calls=[{"name": "look", "args": "{", "id": "1", "error": ""}]),
            id="broken call",
        ),
    ],
)
def test_doubtful_answers_are_not_kept(doubtful: AIMessage) -> None:
    assert entry_of(doubtful) is None


async def test_an_answer_is_given_again_word_by_word() -> None:
    chunks = await streamed(Entry("groq", "m", "stop", text="Two plus  two\nis four."))
    assert [chunk.text for chunk in chunks] == ["Two ", "plus  ", "two\n", "is ", "four.", ""]
    assert [chunk.chunk_position for chunk in chunks] == [None] * 5 + ["last"]


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_it_says_the_same_again(*, is_streamed: bool) -> None:
    entry = Entry(
        "groq", "m", "tool_calls", text="Let me  look. ", reasoning="Where? There.",
        calls=(KeptCall("look", {"at": "x"}), KeptCall("look", {"at": "ü"})),
    )  # fmt: skip
    again = (
        joined(await streamed(entry)) if is_streamed else await Replay(entry=entry).ainvoke("asked")
    )
    assert entry_of(again) == entry
    assert again.additional_kwargs["reasoning_content"] == "Where? There."


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_it_costs_nothing_and_says_who_answered_first(*, is_streamed: bool) -> None:
    entry = Entry("groq", "m", "stop", text="Hi.", input_tokens=5, output_tokens=2)
    again = (
        joined(await streamed(entry)) if is_streamed else await Replay(entry=entry).ainvoke("asked")
    )
    assert again.usage_metadata is None
    assert is_cached(again)
    assert not is_cached(answer())
    assert again.response_metadata["model_provider"] == "groq"
    assert again.response_metadata["models"] == ["groq/m"]


async def test_each_time_it_is_a_new_message_with_new_calls() -> None:
    replay = Replay(entry=Entry("g", "m", "tool_calls", calls=(KeptCall("look", {"at": ["x"]}),)))
    first, second = [await replay.ainvoke("asked") for _ in range(2)]
    assert first.id != second.id
    assert first.tool_calls[0]["id"] != second.tool_calls[0]["id"]
    first.tool_calls[0]["args"]["at"].append("changed by its reader")
    assert second.tool_calls[0]["args"] == {"at": ["x"]}
    assert (await replay.ainvoke("asked")).tool_calls[0]["args"] == {"at": ["x"]}
