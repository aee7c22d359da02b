"""Asking a person whether a tool call may run, in the words that LangGraph's clients show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

from langchain_core.messages import ToolCall
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from nodes.progress import tell
from potluck.events import ApprovalAskedEvent, ApprovalDecidedEvent

Answer = Literal["approve", "edit", "reject"]
ALLOWED: tuple[Answer, ...] = ("approve", "edit", "reject")

# Agent Inbox, which older clients speak, has words of its own for the same.
_WORDS: Mapping[str, Answer] = {
    "approve": "approve",
    "accept": "approve",
    "edit": "edit",
    "reject": "reject",
    "ignore": "reject",
    "response": "reject",
}


class ActionRequest(TypedDict):
    """A call that waits for a person."""

    name: str
    args: dict[str, object]
    description: str


class ReviewConfig(TypedDict):
    """What the person may answer."""

    action_name: str
    allowed_decisions: list[Answer]


class ApprovalRequest(TypedDict):
    """The interrupt's payload, as LangChain's human-in-the-loop middleware has it."""

    action_requests: list[ActionRequest]
    review_configs: list[ReviewConfig]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the person decided; `call` is what may run, None when nothing may."""

    answer: Answer
    call: ToolCall | None
    message: str = ""


def ask_person(call: ToolCall, reason: str, *, step_id: int | None = None) -> Decision:
    """Stop the run until a person has decided about this call, which is for that step of the plan.

    Whatever is no clear approval is a rejection.
    """
    request = ApprovalRequest(
        action_requests=[ActionRequest(name=call["name"], args=call["args"], description=reason)],
        review_configs=[ReviewConfig(action_name=call["name"], allowed_decisions=list(ALLOWED))],
    )
    try:
        answer = interrupt(request)
    except GraphInterrupt:
        _tell_asked(call, reason, step_id)
        raise
    decision = read_decision(answer, call)
    _tell_decided(decision, call)
    return decision


def _tell_asked(call: ToolCall, reason: str, step_id: int | None) -> None:
    event = ApprovalAskedEvent(
        type="approval_asked",
        id=call["id"] or "",
        name=call["name"],
        args=call["args"],
        reason=reason,
    )
    if step_id is not None:
        event["step_id"] = step_id
    tell(event)


def _tell_decided(decision: Decision, asked: ToolCall) -> None:
    call = decision.call or asked
    tell(
        ApprovalDecidedEvent(
            type="approval_decided",
            id=asked["id"] or "",
            decision=decision.answer,
            name=call["name"],
            args=call["args"],
            message=decision.message,
        )
    )


def read_decision(answer: object, call: ToolCall) -> Decision:
    """The decision in whatever a client resumed the run with."""
    given = _only(answer)
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        return _unclear(answer)
    match _WORDS.get(str(given.get("type", "")).strip().lower()):
        case "approve":
            return Decision("approve", call)
        case "edit":
            edited = _edited(given, call)
            return _unclear(answer) if edited is None else Decision("edit", edited)
        case "reject":
            return Decision("reject", None, _said(given))
        case _:
            return _unclear(answer)


def _only(answer: object) -> object:
    """The one decision inside the envelopes in use; something else when there are several."""
    if isinstance(answer, Mapping) and "decisions" in answer:
        answer = answer["decisions"]
    if isinstance(answer, list):
        return answer[0] if len(answer) == 1 else None
    return answer


def _edited(given: Mapping[str, object], call: ToolCall) -> ToolCall | None:
    """The call as the person wants it: LangChain's `edited_action`, or Agent Inbox's `args`."""
    action = given.get("edited_action", given.get("args"))
    if not isinstance(action, Mapping):
        return None
    name = action.get("name", action.get("action", call["name"]))
    args = action.get("args")
    if not isinstance(name, str) or not isinstance(args, Mapping):
        return None
    return ToolCall(name=name, args=dict(args), id=call["id"], type="tool_call")


def _said(given: Mapping[str, object]) -> str:
    said = given.get("message", given.get("args"))
    return said if isinstance(said, str) else ""


def _unclear(answer: object) -> Decision:
    return Decision("reject", None, f"The answer was not clear: {answer!r:.200}")
