"""What happens in a run, as typed events on LangGraph's `custom` stream: one vocabulary.

Answer text is not here: it streams as LangChain message chunks (`messages` mode). A chunk whose
metadata says `audience: user` is part of the answer; any other is the agent's own thinking.
docs/events.md is written for clients; a change here is made there, too.
"""

from typing import Literal, NotRequired, TypedDict

AUDIENCE_KEY = "audience"
Audience = Literal["user", "agent"]

StepStatus = Literal["todo", "doing", "done", "failed"]


class StepEvent(TypedDict):
    """The run entered a node; `text` says in plain words what it does there.

    `step_ids` are the steps of the plan that it is about, where it is about some.
    """

    type: Literal["step"]
    node: str
    text: str
    step_ids: NotRequired[list[int]]


class PlanStepView(TypedDict):
    """One step of the plan as shown to people."""

    id: int
    goal: str
    status: StepStatus


class PlanEvent(TypedDict):
    """The plan was made or has changed; holds all of it."""

    type: Literal["plan"]
    steps: list[PlanStepView]


class ApprovalAskedEvent(TypedDict):
    """A person is asked whether a tool may run, and why; `id` is that of its call.

    The run stops until they have decided. It may be told again while it waits.
    """

    type: Literal["approval_asked"]
    id: str
    name: str
    args: dict[str, object]
    reason: str
    step_id: NotRequired[int]


class ApprovalDecidedEvent(TypedDict):
    """A person has decided about a call: `name` and `args` as it runs now, `message` as they said.

    With `edit` they are what the person made of it, with `reject` nothing runs.
    """

    type: Literal["approval_decided"]
    id: str
    decision: Literal["approve", "edit", "reject"]
    name: str
    args: dict[str, object]
    message: str


class ToolCallEvent(TypedDict):
    """A tool is about to run; `step_id` is the step of the plan that it is for."""

    type: Literal["tool_call"]
    id: str
    name: str
    args: dict[str, object]
    step_id: NotRequired[int]


class ToolOutputEvent(TypedDict):
    """A tool that is still running has printed something; `id` is that of its call."""

    type: Literal["tool_output"]
    id: str
    name: str
    text: str


class ToolResultEvent(TypedDict):
    """A tool has ended; `text` is cut to what a person would read."""

    type: Literal["tool_result"]
    id: str
    name: str
    ok: bool
    text: str


class SourceEvent(TypedDict):
    """A tool has read or found a page that the answer may rest on; `text` is what it says."""

    type: Literal["source"]
    id: str
    url: str
    title: str
    text: str


class PictureEvent(TypedDict):
    """A tool has made a picture: where it is in the workspace, and the picture itself."""

    type: Literal["picture"]
    id: str
    path: str
    mime_type: str
    base64: str


class FailoverEvent(TypedDict):
    """A model failed and the next one is asked."""

    type: Literal["failover"]
    failed: str
    reason: str


class WaitingEvent(TypedDict):
    """No model has room now: the call waits in its place, until then (ISO 8601, UTC) at most."""

    type: Literal["waiting"]
    until: str
    reason: str
    waiting_for: list[str]


class ParkedEvent(TypedDict):
    """No model has quota left: the run stops, and goes on by itself at `resume_at` (ISO, UTC)."""

    type: Literal["parked"]
    resume_at: str
    reason: str
    waiting_for: list[str]


class VerdictEvent(TypedDict):
    """The reflector judged the work."""

    type: Literal["verdict"]
    verdict: Literal["accept", "retry", "replan", "ask"]
    reason: str


class BudgetEvent(TypedDict):
    """What the run may still spend; less than nothing where it was overdrawn."""

    type: Literal["budget"]
    calls: int
    tokens: int
    seconds: float
    tool_calls: int


class AnswerBegunEvent(TypedDict):
    """Words for the user begin: the chunks of `messages` mode that have this message id."""

    type: Literal["answer_begun"]
    id: str


class AnswerEndedEvent(TypedDict):
    """Those words are whole; `is_final` when the run's answer ends with them.

    Before a tool call or a plan they may be only a remark. `model` is who wrote the end of it, as
    `provider/model`; empty where the agent itself did.
    """

    type: Literal["answer_ended"]
    id: str
    is_final: bool
    model: str


class ErrorEvent(TypedDict):
    """The run is about to fail; `by_caller` when the request itself is at fault.

    `back_at` (ISO 8601, UTC) when it is for want of quota, and asking again then may do.
    """

    type: Literal["error"]
    text: str
    by_caller: bool
    back_at: NotRequired[str]


Event = (
    StepEvent
    | PlanEvent
    | ApprovalAskedEvent
    | ApprovalDecidedEvent
    | ToolCallEvent
    | ToolOutputEvent
    | ToolResultEvent
    | SourceEvent
    | PictureEvent
    | FailoverEvent
    | WaitingEvent
    | ParkedEvent
    | VerdictEvent
    | BudgetEvent
    | AnswerBegunEvent
    | AnswerEndedEvent
    | ErrorEvent
)


def is_spent(left: BudgetEvent) -> bool:
    """Whether anything that the run may spend is used up."""
    return min(left["calls"], left["tokens"], left["seconds"], left["tool_calls"]) <= 0
