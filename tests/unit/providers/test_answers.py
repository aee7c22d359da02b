"""What counts as an answer, and how large a call will be."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from potluck.providers.answers import estimate, is_answer, says_something

CALL = {"name": "look", "args": {}, "id": "1", "type": "tool_call"}
BROKEN = {"name": "look", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}


@pytest.mark.parametrize(
    ("message", "says", "answers"),
    [
        (AIMessage("yes"), True, True),
        (AIMessage(""), False, False),
        (AIMessage(" \n\t"), False, False),
        (AIMessage([{"type": "text", "text": ""}]), False, False),
        (AIMessage([{"type": "text", "text": "yes", "index": 0}]), True, True),
        (AIMessage([]), False, False),
        (AIMessage("", tool_calls=[CALL]), True, True),
        (AIMessage("", invalid_tool_calls=[BROKEN]), True, True),
        (AIMessage([{"type": "thinking", "thinking": "hm"}]), True, False),
        (AIMessage("", additional_kwargs={"reasoning_content": "hm"}), True, False),
        (AIMessage("", additional_kwargs={"reasoning_content": ""}), False, False),
    ],
)
def test_says_something_and_answers(message: AIMessage, says: bool, answers: bool) -> None:
    assert says_something(message) is says
    assert is_answer(message) is answers


def test_the_estimate_grows_with_text_tools_and_the_answer_asked_for() -> None:
    messages = [HumanMessage("hello " * 50)]
    tool = {"type": "function", "function": {"name": "look", "description": "Look " * 40}}
    options: list[dict[str, Any]] = [{"max_tokens": 10}, {"max_tokens": 1000}, {"tools": [tool]}]
    small, large, tools = (estimate(messages, given) for given in options)
    assert (small.output_tokens, large.output_tokens) == (10, 1000)
    assert small.input_tokens == large.input_tokens
    assert tools.input_tokens > small.input_tokens
    assert 60 <= small.input_tokens <= 110
