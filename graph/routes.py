"""Where a run goes next: pure functions of the state."""

from collections.abc import Sequence
from typing import Literal

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage
from langgraph.types import Send

from graph.state import FOR_CLIENT, NOTHING_USED, BatchTask, Left, ModelTask, State, ToolTask
from nodes.budget import Budget
from nodes.endings import USED_UP, ending_of
from nodes.history import recapped
from nodes.loops import objection_to


def after_triage(state: State) -> Literal["planner", "__end__"] | list[Send]:
    """Answered, or the client is to act: the end. Tool calls: run them. Too much: make a plan."""
    if state.get("needs_plan"):
        return "planner"
    return _tool_sends(None, state["messages"], _left(state)["tool_calls"]) or "__end__"


def after_executor(state: State) -> Literal["reflector"] | list[Send]:
    """Run the tools or the model for every step in work; reflect when all steps are settled.

    Steps of a batch share one answer. Everything sent out comes back to the executor at the same
    time, so no step is sent out twice.
    """
    plan = state.get("plan", [])
    if not plan:
        seen = recapped(state["messages"], state.get("recap"))
        return [_model_send(None, seen, state)]
    work = state.get("work", {})
    batches = state.get("batches", [])
    together = {step_id for batch in batches for step_id in batch["steps"]}
    doing = [s["id"] for s in plan if s["status"] == "doing" and s["id"] not in together]
    kind = state.get("task_type", "general")
    sends = [Send("batch", BatchTask(**batch, task_type=kind)) for batch in batches]
    left = _left(state)["tool_calls"]
    avoid = {step["id"]: step.get("avoid", "") for step in plan}
    for step_id in doing:
        transcript = work[str(step_id)]
        calls = _tool_sends(step_id, transcript, left)
        left -= len(calls)
        sends += calls or [_model_send(step_id, transcript, state, avoid=avoid[step_id])]
    return sends or "reflector"


def after_model(state: State) -> Literal["executor", "__end__"] | list[Send]:
    """A step's move goes to the executor. Without a plan: run the tools, or end with the answer."""
    if state.get("plan"):
        return "executor"
    return _tool_sends(None, state["messages"], _left(state)["tool_calls"]) or "__end__"


def after_reflector(state: State) -> Literal["executor", "planner", "__end__"]:
    """Accepted or asked: the end. Retry: the executor. Replan: the planner."""
    match state.get("verdict"):
        case "retry":
            return "executor"
        case "replan":
            return "planner"
        case _:
            return "__end__"


def _unanswered(transcript: Sequence[AnyMessage]) -> list[ToolCall]:
    """The tool calls of the last model message that are ours to make and have no result yet."""
    answered: set[str] = set()
    for message in reversed(transcript):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
        elif isinstance(message, AIMessage):
            if message.response_metadata.get(FOR_CLIENT):
                return []
            return [call for call in message.tool_calls if call["id"] not in answered]
        else:
            break
    return []


def _tool_sends(step_id: int | None, transcript: Sequence[AnyMessage], left: int) -> list[Send]:
    """Each call as a task; those that lead nowhere, or beyond what is `left`, with the reason."""
    sends: list[Send] = []
    for call in _unanswered(transcript):
        objection = objection_to(call, transcript) or (USED_UP if len(sends) >= left else "")
        sends.append(Send("tools", ToolTask(step_id=step_id, call=call, objection=objection)))
    return sends


def _model_send(
    step_id: int | None, transcript: list[AnyMessage], state: State, *, avoid: str = ""
) -> Send:
    usage, left = state.get("usage", NOTHING_USED), _left(state)
    return Send(
        "model",
        ModelTask(
            step_id=step_id,
            transcript=transcript,
            task_type=state.get("task_type", "general"),
            usage=usage,
            left=left,
            ending=ending_of(step_id, transcript, left=left, usage=usage, working=_working(state)),
            avoid=avoid,
        ),
    )


def _working(state: State) -> int:
    """How many steps a model works on by itself."""
    return sum(step["status"] == "doing" for step in state.get("plan", []))


def _left(state: State) -> Left:
    return state.get("left") or Budget().left(state.get("usage", NOTHING_USED))
