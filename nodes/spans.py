"""Spans for the nodes of the graph and for what they run."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.messages import ToolCall, ToolMessage
from langgraph.runtime import Runtime
from opentelemetry.trace import Span

from graph.state import Context
from nodes.clock import Node, Update
from potluck import telemetry
from tools.toolbox import Toolbox

UNKNOWN = "unknown"
"""The name of whatever tool a model has made up."""


def traced[Given](node: Node[Given]) -> Node[Given]:
    """The node, with a span for each time that it runs."""
    name = getattr(node, "__name__", type(node).__name__)

    @functools.wraps(node)
    async def told(state: Given, runtime: Runtime[Context]) -> Update:
        attributes: dict[str, telemetry.Value] = {"potluck.node": name}
        step_id = state.get("step_id") if isinstance(state, dict) else None
        if isinstance(step_id, int):
            attributes["potluck.step_id"] = step_id
        with telemetry.span(f"node {name}", attributes):
            return await node(state, runtime)

    return told


@contextmanager
def tool_span(call: ToolCall, toolbox: Toolbox) -> Iterator[Span]:
    """A span for a tool call, without its arguments."""
    known = toolbox.spec(call["name"])
    name = call["name"] if known is not None else UNKNOWN
    attributes = {
        telemetry.OPERATION: "execute_tool",
        telemetry.TOOL: name,
        telemetry.TOOL_CALL: call["id"] or "",
        "gen_ai.tool.type": "function",
    }
    with telemetry.span(f"execute_tool {name}", attributes) as made:
        yield made


def mark_result(span: Span, message: ToolMessage) -> None:
    """Say in the span of a tool call how it ended."""
    if message.status == "error":
        telemetry.fail(span, "tool_error")
