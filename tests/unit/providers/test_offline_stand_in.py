"""The offline model in the place of models that failed: it looks, and changes nothing."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool

from potluck.providers.last import LastResort
from potluck.providers.offline import OfflineModel
from potluck.providers.offline_move import CHANGING
from tools.calculator import calculator
from tools.files import read_file, write_file
from tools.notes import forget, remember
from tools.python import python
from tools.registry import REGISTRY
from tools.shell import shell

TOOLS: list[BaseTool] = [calculator, read_file, write_file, python, shell, remember, forget]
ORDERS = [
    'Write a.txt with the text "hi"',
    'Replace "a" with "b" in a.txt',
    "Run this Python code:\n```python\nprint(1)\n```",
    "Run this command:\n```sh\nls\n```",
    "Remember that I am vegetarian.",
    "Forget everything you know about me",
    "a.txtに「こんにちは」と書いて",
]


def asked(text: str, *, may_change: bool) -> AIMessage:
    model = OfflineModel(why="no LLM could answer: a/1: empty", may_change=may_change)
    reply = model.bind_tools(TOOLS).invoke([HumanMessage(text)])
    assert isinstance(reply, AIMessage)
    return reply


@pytest.mark.parametrize("order", ORDERS)
def test_nothing_is_changed_and_it_says_why(order: str) -> None:
    reply = asked(order, may_change=False)
    assert reply.tool_calls == []
    assert "No model could answer" in reply.text or "どのモデルも回答できず" in reply.text
    assert "a/1: empty" in reply.text


@pytest.mark.parametrize("order", [o for o in ORDERS if not o.startswith("Replace")])
def test_alone_it_does_what_it_is_told(order: str) -> None:
    assert [call["name"] for call in asked(order, may_change=True).tool_calls] != []


def test_it_still_looks() -> None:
    names = [
        asked(text, may_change=False).tool_calls[0]["name"]
        for text in ("What is 17*23?", "Read a.txt")
    ]
    assert names == ["calculator", "read_file"]


def test_it_does_not_ask_for_tools_that_it_must_not_use() -> None:
    model = OfflineModel(may_change=False)
    way = {"name": "use_tools", "description": "all tools", "parameters": {"type": "object"}}
    bound = model.bind_tools([{"type": "function", "function": way}])
    reply = bound.invoke([HumanMessage(ORDERS[0])])
    assert isinstance(reply, AIMessage)
    assert reply.tool_calls == []


def test_its_names_are_those_of_tools() -> None:
    assert {spec.tool.name for spec in REGISTRY} >= CHANGING


async def test_the_last_of_a_chain_hands_it_on() -> None:
    last = LastResort(attempts=tuple, stands_in=True)
    reply = await last.bind_tools(TOOLS).ainvoke(ORDERS[0])
    assert isinstance(reply, AIMessage)
    assert reply.tool_calls == []
