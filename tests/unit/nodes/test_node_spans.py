"""A run of the graph in spans: each node, and each tool call."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from opentelemetry.trace import StatusCode

from graph.agent import graph
from potluck import telemetry
from tests.collected import Spans, collected

pytestmark = pytest.mark.usefixtures("engine")


@pytest.fixture
def spans() -> Iterator[Spans]:
    with collected() as kept:
        yield kept


def call(name: str, **args: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "call-1"}])


async def run(request: str) -> None:
    with telemetry.span("run"):
        await graph.ainvoke({"messages": [HumanMessage(request)]})


async def test_nodes_stand_under_the_run_and_tools_under_their_node(
    chain: Any, spans: Spans
) -> None:
    chain.script = [call("calculator", expression="17*23"), AIMessage("It is 391.")]
    await run("What is 17*23?")
    assert {spans.parent_of(name) for name in ("node triage", "node tools", "node model")} == {
        "run"
    }
    assert spans.parent_of("execute_tool calculator") == "node tools"
    assert dict(spans.one("execute_tool calculator").attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "calculator",
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.tool.type": "function",
    }
    assert "391" not in spans.told()
    assert "17*23" not in spans.told()


async def test_a_tool_that_failed_is_marked(chain: Any, spans: Spans) -> None:
    chain.script = [call("read_file", path="my-diary.txt"), AIMessage("There is none.")]
    await run("read my-diary.txt")
    made = spans.one("execute_tool read_file")
    assert made.status.status_code is StatusCode.ERROR
    assert "diary" not in spans.told()


async def test_a_name_that_a_model_made_up_is_no_name_of_a_span(chain: Any, spans: Spans) -> None:
    chain.script = [call("my_diary"), AIMessage("There is no such tool.")]
    await run("Use it")
    assert "execute_tool unknown" in spans.names()
    assert "diary" not in spans.told()
