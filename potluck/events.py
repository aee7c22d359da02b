"""What happens in a run, as typed events on LangGraph's `custom` stream: one vocabulary.

Answer text is not here: it streams as LangChain message chunks (`messages` mode). A chunk whose
metadata says `audience: user` is part of the answer; any other is the agent's own thinking.
"""

from typing import Literal, NotRequired, TypedDict

AUDIENCE_KEY = "audience"
Audience = Literal["user", "agent"]

StepStatus = Literal["todo", "doing", "done", "failed"]


class StepEvent(TypedDict):
    """The run entered a node; `text` says in plain words what it does there."""

    type: Literal["step"]
    node: str
    text: str


class PlanStepView(TypedDict):
    """One step of the plan as shown to people."""

    id: int
    goal: str
    status: StepStatus


class PlanEvent(TypedDict):
    """The plan was made or has changed; holds all of it."""

    type: Literal["plan"]
    steps: list[PlanStepView]


class ToolCallEvent(TypedDict):
    """A tool is about to run."""

    type: Literal["tool_call"]
    id: str
    name: str
    args: dict[str, object]


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


class ParkedEvent(TypedDict):
    """No model has quota left: the run goes on by itself at `resume_at` (ISO 8601, UTC)."""

    type: Literal["parked"]
    resume_at: str
    reason: str
    waiting_for: list[str]


class VerdictEvent(TypedDict):
    """The reflector judged the work."""

    type: Literal["verdict"]
    verdict: Literal["accept", "retry", "replan", "ask"]
    reason: str


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
    | ToolCallEvent
    | ToolOutputEvent
    | ToolResultEvent
    | SourceEvent
    | PictureEvent
    | FailoverEvent
    | ParkedEvent
    | VerdictEvent
    | ErrorEvent
)
