"""The tools node: runs one tool call, and turns whatever happens into a result for the model."""

import asyncio

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime

from graph.state import NOTHING_USED, Context, ToolTask
from nodes.progress import tell
from potluck import engine
from potluck.errors import ToolError
from potluck.events import ToolCallEvent, ToolResultEvent
from tools.registry import spec
from tools.registry import tools as all_tools
from tools.workspace import Workspace, use_workspace

# The third identical call is refused: a model that repeats itself learns nothing new from it.
MAX_REPEATS = 2
SHOWN_CHARS = 2_000


async def tools(state: ToolTask, runtime: Runtime[Context]) -> dict[str, object]:  # noqa: ARG001 - nodes share one signature
    """Run one call; errors come back as a result that the model can act on."""
    call = state["call"]
    tell(ToolCallEvent(type="tool_call", id=call["id"] or "", name=call["name"], args=call["args"]))
    message = await _result(state, get_config())
    tell(
        ToolResultEvent(
            type="tool_result",
            id=call["id"] or "",
            name=call["name"],
            ok=message.status == "success",
            text=str(message.text)[:SHOWN_CHARS],
        )
    )
    update: dict[str, object] = {"usage": {**NOTHING_USED, "tool_calls": 1}}
    if state["step_id"] is None:
        return update | {"messages": [message]}
    return update | {"work": {str(state["step_id"]): [message]}}


async def _result(task: ToolTask, config: RunnableConfig) -> ToolMessage:
    call = task["call"]
    known = spec(call["name"])
    if task["repeats"] > MAX_REPEATS:
        return _refusal(
            task, "You made this very call before, with the same result. Go on without it."
        )
    if known is not None and known.policy == "deny":
        return _refusal(task, "This tool is switched off by the user's policy.")
    timeout_s = known.timeout_s if known else None
    thread_id = str(config.get("configurable", {}).get("thread_id") or "default")
    home = (await engine.current()).home
    workspace = await asyncio.to_thread(Workspace.for_thread, home, thread_id)
    try:
        with use_workspace(workspace):
            async with asyncio.timeout(timeout_s):
                done = await _runner().ainvoke([call], config)
    except TimeoutError:
        return _refusal(task, f"It did not finish within {timeout_s:g} s and was stopped.")
    message: ToolMessage = done["messages"][0]
    return message


def _runner() -> ToolNode:
    return ToolNode(all_tools(), name="run_tool", handle_tool_errors=_explain)


def _explain(error: Exception) -> str:
    """The error as the model sees it: ours as written, others by their kind and text."""
    if isinstance(error, ToolError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _refusal(task: ToolTask, why: str) -> ToolMessage:
    call = task["call"]
    return ToolMessage(why, tool_call_id=call["id"], name=call["name"], status="error")
