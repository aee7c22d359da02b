from hypothesis import given
from hypothesis import strategies as st

from potluck.simulator.reply import Reply, Usage, split_text
from potluck.simulator.request import ToolCall


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    pieces = split_text(text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_ending_follows_from_what_is_said() -> None:
    assert Reply("x").ending == "stop"
    assert Reply.call("f").ending == "tool_calls"
    assert Reply("x", finish_reason="length").ending == "length"


def test_completing_fills_only_what_was_left_open() -> None:
    calls = (ToolCall("f", {}, "mine"), ToolCall("g"))
    done = Reply("abcd", calls).completed(input_tokens=9, ids=["a", "b"])
    assert [call.id for call in done.tool_calls] == ["mine", "b"]
    assert done.usage is not None
    assert done.usage.input_tokens == 9
    assert done.usage.output_tokens > 1
    assert Reply("x", usage=Usage(1, 2)).completed(input_tokens=9, ids=[]).usage == Usage(1, 2)


def test_pieces_set_the_text() -> None:
    assert Reply(pieces=("a", "bc")).completed(input_tokens=1, ids=[]).text == "abc"


def test_a_call_is_malformed_only_when_its_text_is_no_object() -> None:
    assert not ToolCall("f", {"a": 1}).malformed
    assert not ToolCall("f", raw_args='{"a": 1}').malformed
    assert ToolCall("f", raw_args='{"a": 1').malformed
    assert ToolCall("f", raw_args="[]").malformed
