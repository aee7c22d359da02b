"""The tools node: runs one tool call, and turns whatever happens into a result for the model."""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass

from langchain_core.messages import ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime

from graph.state import NOTHING_USED, Context, ToolTask
from nodes.approval import Decision, ask_person
from nodes.deeds import CUT_OFF, Deed, begin
from nodes.findings import findings_in
from nodes.interrupts import can_stop
from nodes.loops import LOOP_KEY
from nodes.memory import notebook_for
from nodes.progress import tell
from nodes.spans import mark_result, tool_span
from nodes.tool_results import checked
from potluck import engine
from potluck.engine import Engine
from potluck.errors import ToolError
from potluck.events import ToolCallEvent, ToolResultEvent
from potluck.sandbox.runner import use_approval, use_runner
from potluck.settings import hide_secrets
from tools.notebook import use_notebook
from tools.options import use_options
from tools.toolbox import Toolbox
from tools.workspace import Workspace, use_workspace

SHOWN_CHARS = 2_000
FIRST_RETRY_S = 0.5

DENIED = "It was not run, and must not be tried in another way."
NOBODY = "It needs a person's approval, and nobody can be asked in this run. It was not run."
REJECTED = "The user rejected this call: it was not run. Do not try it again in another way."
STEERED = "The user rejected this call: it was not run. Go by what they said:"


@dataclass(frozen=True, slots=True)
class _Permission:
    """The call that may run and a note for the model; without a call, the note says why."""

    call: ToolCall | None
    note: str = ""
    approved: bool = False


async def tools(state: ToolTask, runtime: Runtime[Context]) -> dict[str, object]:
    """Run one call if it may run; errors come back as a result that the model can act on."""
    used = await engine.current()
    config = get_config()
    can_ask = can_stop(config) and (runtime.context or Context()).get("can_ask", True)
    permission = _permit(state, used.toolbox, can_ask=can_ask)
    call = permission.call or state["call"]
    tell(_call_event(call, state["step_id"]))
    if permission.call is None:
        message = _refusal(call, permission.note)
        if state["objection"]:
            message.response_metadata[LOOP_KEY] = True
    elif not await _may_begin(call, used, config):
        message = _refusal(call, CUT_OFF)
    else:
        approval = use_approval() if permission.approved else nullcontext()
        with (
            approval,
            use_notebook(notebook_for(runtime, used)),
            tool_span(call, used.toolbox) as span,
        ):
            message = await _run(call, permission.note, used, config)
            mark_result(span, message)
    tell(
        ToolResultEvent(
            type="tool_result",
            id=call["id"] or "",
            name=call["name"],
            ok=message.status == "success",
            text=str(message.text)[:SHOWN_CHARS],
        )
    )
    for finding in findings_in(message):
        tell(finding)
    update: dict[str, object] = {"usage": {**NOTHING_USED, "tool_calls": 1}}
    if state["step_id"] is None:
        return update | {"messages": [message]}
    return update | {"work": {str(state["step_id"]): [message]}}


async def _may_begin(call: ToolCall, used: Engine, config: RunnableConfig) -> bool:
    """Whether the call was not begun before by a server that was cut off, or changes nothing."""
    known = used.toolbox.spec(call["name"])
    deed = Deed.of(config)
    if used.pool is None or deed is None or known is None or known.is_repeatable:
        return True
    return await begin(deed, used.pool)


def _call_event(call: ToolCall, step_id: int | None) -> ToolCallEvent:
    event = ToolCallEvent(
        type="tool_call", id=call["id"] or "", name=call["name"], args=call["args"]
    )
    if step_id is not None:
        event["step_id"] = step_id
    return event


def _permit(task: ToolTask, toolbox: Toolbox, *, can_ask: bool) -> _Permission:
    """Whether the call may run: by policy, or by asking a person, which stops the run here.

    Nothing with an effect may come before it: after the answer the node begins anew.
    """
    call = task["call"]
    if task["objection"]:
        return _Permission(None, task["objection"])
    ruling = toolbox.rule(call)
    match ruling.policy:
        case "deny":
            return _Permission(None, f"{ruling.reason} {DENIED}")
        case "ask" if not can_ask:
            return _Permission(None, f"{ruling.reason} {NOBODY}")
        case "ask":
            asked = ask_person(call, ruling.reason, step_id=task["step_id"])
            return _decided(call, asked, toolbox)
        case _:
            return _Permission(call)


def _decided(call: ToolCall, decision: Decision, toolbox: Toolbox) -> _Permission:
    if decision.call is None:
        said = decision.message
        return _Permission(None, f"{STEERED} {said}" if said else REJECTED)
    if decision.answer == "approve":
        return _Permission(call, approved=True)
    # A person may change what a call does, but not what is forbidden to all.
    ruling = toolbox.rule(decision.call)
    if ruling.policy == "deny":
        return _Permission(None, f"The user changed the call, but {ruling.reason} {DENIED}")
    changed = decision.call
    note = f"[The user changed this call before it ran: {changed['name']} {changed['args']}]"
    return _Permission(changed, note, approved=True)


async def _run(call: ToolCall, note: str, used: Engine, config: RunnableConfig) -> ToolMessage:
    thread_id = str(config.get("configurable", {}).get("thread_id") or "default")
    workspace = await asyncio.to_thread(Workspace.for_thread, used.home, thread_id)
    with (
        use_workspace(workspace),
        use_options(used.toolbox.options),
        use_runner(used.runner),
    ):
        message = await _tried(call, used.toolbox, config)
    fitted = await asyncio.to_thread(checked, message, workspace)
    return _noted(fitted, note) if note else fitted


async def _tried(call: ToolCall, toolbox: Toolbox, config: RunnableConfig) -> ToolMessage:
    """The result of the call; a tool without effects is tried again when the world was at fault."""
    known = toolbox.spec(call["name"])
    retries = known.retries if known else 0
    for number in range(retries + 1):
        passing = _PassingFault()
        runner = ToolNode(toolbox.offered, name="run_tool", handle_tool_errors=passing.explain)
        try:
            async with asyncio.timeout(known.timeout_s if known else None):
                done = await runner.ainvoke([call], config)
        except TimeoutError:
            limit_s = known.timeout_s if known else 0.0
            return _refusal(call, f"It did not finish within {limit_s:g} s and was stopped.")
        message: ToolMessage = done["messages"][0]
        if not passing.seen or number == retries:
            break
        await asyncio.sleep(FIRST_RETRY_S * 2**number)
    return message


class _PassingFault:
    """Turns an error into words for the model, and keeps whether it may pass by itself."""

    def __init__(self) -> None:
        self.seen = False

    def explain(self, error: Exception) -> str:
        """The error as the model sees it: ours as written, others by their kind and text."""
        self.seen = isinstance(error, ConnectionError | TimeoutError) or (
            isinstance(error, ToolError) and error.may_pass
        )
        kind = "" if isinstance(error, ToolError) else f"{type(error).__name__}: "
        return hide_secrets(f"{kind}{error}")


def _noted(message: ToolMessage, note: str) -> ToolMessage:
    if isinstance(message.content, str):
        return message.model_copy(update={"content": f"{note}\n{message.content}"})
    return message.model_copy(update={"content": [note, *message.content]})


def _refusal(call: ToolCall, why: str) -> ToolMessage:
    return ToolMessage(why, tool_call_id=call["id"], name=call["name"], status="error")
