"""Requests to a model, as different agents would send them."""

from collections.abc import Mapping
from typing import Any

from potluck.evaluation.task import Task
from potluck.evaluation.task_file import load_tasks
from potluck.simulator.request import Message, ModelRequest, Tool, ToolCall

TASKS = load_tasks()
STEP = {
    "type": "object",
    "properties": {
        "goal": {"type": "string"},
        "kind": {"enum": ["think", "act"], "type": "string"},
        "needs": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["goal"],
}
PLAN_TOOL = Tool(
    "submit_plan",
    "",
    {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/PlannedStep"}}},
        "$defs": {"PlannedStep": STEP},
    },
)


def named(task_id: str) -> Task:
    return next(task for task in TASKS if task.id == task_id)


def tool(name: str, *args: str) -> Tool:
    properties = {arg: {"type": "string"} for arg in args}
    return Tool(name, "", {"type": "object", "properties": properties})


CALCULATOR = tool("calculator", "expression")
READ = tool("read_file", "path")
WRITE = tool("write_file", "path", "text")


class Talk:
    """A conversation that grows by what the model says and what tools give."""

    def __init__(self, text: str, *tools: Tool) -> None:
        self.messages = [Message("user", text)]
        self.tools = tools

    def request(self, **more: Any) -> ModelRequest:
        return ModelRequest(
            provider="together",
            model="m",
            messages=tuple(self.messages),
            **{"tools": self.tools, **more},
        )

    def ran(self, *calls: ToolCall, results: Mapping[str, str] | list[str]) -> "Talk":
        """The calls, and what came of them, in their order."""
        texts = results if isinstance(results, list) else [results[c.name] for c in calls]
        known = tuple(
            ToolCall(c.name, c.args, id=f"id{len(self.messages)}{n}") for n, c in enumerate(calls)
        )
        self.messages.append(Message("assistant", tool_calls=known))
        self.messages += [
            Message("tool", text, tool_call_id=call.id)
            for call, text in zip(known, texts, strict=True)
        ]
        return self

    def told(self, text: str) -> "Talk":
        self.messages.append(Message("user", text))
        return self
