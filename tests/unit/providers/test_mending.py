"""A call of a tool that was not shown."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import tool_call

from potluck.providers.catalog import Model
from potluck.providers.mending import WrongAnswerError, mended
from potluck.providers.offer import USE_TOOLS, Offer

MODEL = Model(provider="groq", id="m", context=8_000, capabilities=frozenset({"tools"}))
WAY: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": USE_TOOLS,
        "description": "Get these tools, if you need one: write_file, shell.",
        "parameters": {
            "type": "object",
            "properties": {"why": {"type": "string"}},
            "required": ["why"],
        },
    },
}


def reply(name: str) -> AIMessage:
    return AIMessage("", tool_calls=[tool_call(name=name, args={"path": "a"}, id="c1")])


def test_it_asks_for_the_tool_where_that_can_be_had() -> None:
    message = mended(reply("write_file"), Offer.of({"tools": [WAY]}), MODEL, reason="tool_calls")
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [
        (USE_TOOLS, {"why": "write_file"})
    ]


def test_it_is_refused_where_there_is_no_such_tool() -> None:
    with pytest.raises(WrongAnswerError, match="there is no tool `launch`"):
        mended(reply("launch"), Offer.of({"tools": [WAY]}), MODEL, reason="tool_calls")
