"""Where an answer's text ends, however it is cut into pieces."""

from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from potluck.providers.trim import Cutter, Trim, split_option, trimmed, trimmed_stream

CALL = {"name": "f", "args": {}, "id": "c", "type": "tool_call"}


def cut(trim: Trim, *pieces: str) -> tuple[str, str | None]:
    cutter = Cutter(trim)
    text = "".join(cutter.take(piece) for piece in pieces) + cutter.finish()
    return text, cutter.reason


def test_ends_before_the_first_stop_also_across_pieces() -> None:
    trim = Trim(stop=("END", "\n\n"))
    assert cut(trim, "one E", "N", "D two\n\n") == ("one ", "stop")
    assert cut(trim, "one\n", "\ntwo END") == ("one", "stop")


def test_what_only_looked_like_a_stop_is_shown() -> None:
    assert cut(Trim(stop=("END",)), "E", "N", "TER E", "N") == ("ENTER EN", None)


def test_a_stop_inside_of_a_false_start_is_found() -> None:
    assert cut(Trim(stop=("aab",)), "a", "a", "a", "b") == ("a", "stop")


def test_is_cut_after_about_so_many_tokens() -> None:
    assert cut(Trim(max_tokens=2), "12345", "67890") == ("12345678", "length")
    assert cut(Trim(max_tokens=2), "12345678") == ("12345678", None)
    assert cut(Trim(max_tokens=2), "天地玄黄") == ("天地", "length")


def test_the_limit_beats_a_stop_after_it() -> None:
    assert cut(Trim(max_tokens=1, stop=("END",)), "123456END") == ("1234", "length")


@given(st.text("abE ND", max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_pieces_make_no_difference(text: str, places: list[int]) -> None:
    trim = Trim(max_tokens=5, stop=("END", "ab"))
    bounds = [0, *sorted(places), len(text)]
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    assert cut(trim, *pieces) == cut(trim, text)


def test_a_message_says_why_it_was_cut() -> None:
    message = AIMessage("one two three", id="m", response_metadata={"finish_reason": "stop"})
    ended = trimmed(message, Trim(max_tokens=1))
    assert (ended.text, ended.id) == ("one ", "m")
    assert ended.response_metadata["finish_reason"] == "length"


def test_a_message_that_calls_tools_is_left_alone() -> None:
    message = AIMessage("Let me look that up", tool_calls=[CALL])
    assert trimmed(message, Trim(max_tokens=1)) is message


async def chunks(*parts: AIMessageChunk) -> AsyncGenerator[AIMessageChunk]:
    for part in parts:
        yield part


async def streamed(trim: Trim, *parts: AIMessageChunk) -> Sequence[AIMessageChunk]:
    return [chunk async for chunk in trimmed_stream(chunks(*parts), trim)]


def last() -> AIMessageChunk:
    usage = {"input_tokens": 1, "output_tokens": 9, "total_tokens": 10}
    metadata = {"finish_reason": "stop", "model_name": "m"}
    return AIMessageChunk(
        "",
        chunk_position="last",
        usage_metadata=usage,  # type: ignore[arg-type] # a dict does
        response_metadata=metadata,
    )


async def test_a_stream_is_cut_and_keeps_its_usage() -> None:
    found = await streamed(
        Trim(max_tokens=1), AIMessageChunk("one "), AIMessageChunk("two"), last()
    )
    assert [chunk.text for chunk in found] == ["one ", "", ""]
    assert found[-1].response_metadata == {"finish_reason": "length", "model_name": "m"}
    assert found[-1].usage_metadata is not None


async def test_a_doubtful_end_of_a_stream_comes_with_its_last_chunk() -> None:
    found = await streamed(Trim(stop=("END",)), AIMessageChunk("the EN"), last())
    assert "".join(chunk.text for chunk in found) == "the EN"
    assert found[-1].response_metadata["finish_reason"] == "stop"


async def test_a_tool_call_after_cut_text_is_whole() -> None:
    piece = tool_call_chunk(name="f", args='{"x": "END"}', id="c", index=0)
    call = AIMessageChunk("", tool_call_chunks=[piece])
    found = await streamed(
        Trim(max_tokens=1, stop=("END",)), AIMessageChunk("I will"), call, last()
    )
    assert found[1].tool_call_chunks[0]["args"] == '{"x": "END"}'
    assert found[-1].response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("trim", [Trim(3, ("a",)), Trim(None, ("a", "b")), Trim(7)])
def test_an_option_is_read_as_it_was_written(trim: Trim) -> None:
    options = {"trim": trim.as_option(), "temperature": 0.5}
    assert split_option(options) == (trim, {"temperature": 0.5})
    assert split_option({"temperature": 0.5}) == (None, {"temperature": 0.5})
