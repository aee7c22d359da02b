"""The state of a run: plain JSON-able values, so that Studio can show and edit every step."""

from typing import Annotated, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages

from potluck.events import StepStatus

TaskType = Literal["code_generation", "complex_reasoning", "simple_task", "general"]
StepKind = Literal["think", "act"]
Verdict = Literal["accept", "retry", "replan", "ask"]


class Step(TypedDict):
    """One step of a plan: what to do, what it waits for, and what counts as done."""

    id: int
    goal: str
    kind: StepKind
    needs: list[int]
    done_when: str
    status: StepStatus
    result: str
    feedback: str
    attempts: int


class Usage(TypedDict):
    """What a run has cost so far."""

    calls: int
    input_tokens: int
    output_tokens: int
    tool_calls: int


class Context(TypedDict, total=False):
    """What a caller may set for a run (LangGraph `context`, or `config.configurable`)."""

    model: str
    """`provider/model-id` to be asked first."""
    instructions: str
    """System prompt of the caller, added to ours."""
    privacy: Literal["private", "any"]
    priority: Literal["interactive", "background", "batch"]
    max_calls: int
    """Model calls this run may make; default 25."""


def merge_steps(left: list[Step], right: list[Step] | None) -> list[Step]:
    """Merge steps by id; None empties the plan. Parallel steps each write only their own."""
    if right is None:
        return []
    merged = {step["id"]: step for step in left}
    merged.update({step["id"]: step for step in right})
    return [merged[key] for key in sorted(merged)]


def merge_work(
    left: dict[str, list[AnyMessage]], right: dict[str, list[AnyMessage] | None] | None
) -> dict[str, list[AnyMessage]]:
    """Append each step's new messages to its transcript; None drops that transcript, or all."""
    if right is None:
        return {}
    merged = dict(left)
    for step_id, messages in right.items():
        if messages is None:
            merged.pop(step_id, None)
        else:
            merged[step_id] = list(add_messages(merged.get(step_id, []), messages))  # type: ignore[arg-type] # its stub is wider than what it returns for lists
    return merged


def add_usage(left: Usage, right: Usage | None) -> Usage:
    """Sum what was used; None starts again at nothing (a new run)."""
    if right is None:
        return Usage(calls=0, input_tokens=0, output_tokens=0, tool_calls=0)
    return Usage(
        calls=left.get("calls", 0) + right["calls"],
        input_tokens=left.get("input_tokens", 0) + right["input_tokens"],
        output_tokens=left.get("output_tokens", 0) + right["output_tokens"],
        tool_calls=left.get("tool_calls", 0) + right["tool_calls"],
    )


class Input(TypedDict):
    """What a run takes: the new messages of the conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


class State(Input):
    """Everything a run knows; `messages` is the conversation, `work` each step's own transcript."""

    task_type: NotRequired[TaskType]
    plan: Annotated[list[Step], merge_steps]
    work: Annotated[dict[str, list[AnyMessage]], merge_work]
    lessons: NotRequired[list[str]]
    replans: NotRequired[int]
    usage: Annotated[Usage, add_usage]
