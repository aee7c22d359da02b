"""The state of a run: plain JSON-able values, so that Studio can show and edit every step."""

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired, TypedDict

from langchain_core.messages import AnyMessage, ToolCall
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps
from pydantic import Field

from graph.params import ClientTools, Params, TimeZone
from potluck.events import StepStatus

TaskType = Literal["code_generation", "complex_reasoning", "simple_task", "general"]
StepKind = Literal["think", "act"]
Verdict = Literal["accept", "retry", "replan", "ask"]


class Kept(TypedDict):
    """A result of an earlier try, and what was wrong with it by rule; empty if nothing was."""

    result: str
    fault: str


class Step(TypedDict):
    """One step of a plan: what to do, what it waits for, and what counts as done."""

    id: int
    goal: str
    kind: StepKind
    needs: list[int]
    first: int
    """Number of the first step of the plan that this one belongs to."""
    done_when: str
    status: StepStatus
    result: str
    feedback: str
    attempts: int
    avoid: NotRequired[str]
    """The model whose result was not good enough."""
    rejected: NotRequired[list[str]]
    """Results that were not good enough."""
    kept: NotRequired[Kept]
    """The best of them, which stands when no other try brings more."""


class Batch(TypedDict):
    """Steps that share one request, and the words of it."""

    steps: list[int]
    request: str


class Usage(TypedDict):
    """What a run has cost so far.

    Of the input `cached_tokens` came from a provider's cache, of the output `reasoning_tokens` were
    thought, as far as providers tell.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    tool_calls: int
    cached_tokens: NotRequired[int]
    reasoning_tokens: NotRequired[int]
    restart: NotRequired[bool]


class Elapsed(TypedDict):
    """For how long a run has worked: not while it was parked, or waited for a person.

    `began` and `ended` are the last stretch of work, in seconds of the epoch.
    """

    began: float
    ended: float
    seconds: float
    restart: NotRequired[bool]


class Left(TypedDict):
    """What a run may still spend."""

    calls: int
    tokens: int
    seconds: float
    tool_calls: int


class Recap(TypedDict):
    """The beginning of the conversation in short, up to the message with the id `through`."""

    text: str
    through: str


# Marks a message, in its `response_metadata`, whose calls the client makes: they end the run.
FOR_CLIENT = "for_client"
NOTHING_USED = Usage(calls=0, input_tokens=0, output_tokens=0, tool_calls=0)


class Context(TypedDict, total=False):
    """What a caller may set for a run (LangGraph `context`, or `config.configurable`)."""

    model: str
    """`provider/model-id` to be asked first."""
    instructions: str
    """System prompt of the caller, added to ours."""
    privacy: Literal["private", "any"]
    """`private`: only providers that do not train on prompts."""
    max_calls: Annotated[int, Field(strict=True, ge=1, le=200)]
    """Model calls this run may make."""
    max_tokens: Annotated[int, Field(strict=True, ge=500, le=10_000_000)]
    """Tokens, of what is sent and of what is answered, that this run may use."""
    max_seconds: Annotated[float, Field(strict=True, ge=1, le=86_400)]
    """How long this run may work; waiting for quota or for a person is not work."""
    max_tool_calls: Annotated[int, Field(strict=True, ge=0, le=1_000)]
    """Tool calls this run may make."""
    priority: Literal["interactive", "background", "batch"]
    """Who goes first when quota is scarce."""
    memory: Literal["on", "off"]
    """`off`: long-term notes are neither read nor written."""
    timezone: TimeZone
    """Where the user is, such as Asia/Tokyo; else where the server is."""
    tenant: str
    """Whose work it is: nobody else is answered from its cache."""
    cache: Literal["use", "refresh", "off", "always"]
    """`refresh`: ask anew and keep the answer; `off`: neither read nor keep."""
    when_out: Literal["park", "wait", "fail"]
    """No model has quota left: stop until one has and go on by itself; wait for a while; or fail.

    A run that cannot be gone on with later (no checkpointer, no thread that is kept) fails.
    """
    can_ask: bool
    """False: no person can be asked, so calls that need approval are refused."""
    params: Params
    """How the answer is to be."""
    client_tools: ClientTools
    """Tools that the caller runs: a call of one ends the run, and its result goes on with it."""
    client_tool_choice: str
    """`required`, or the name of the client's tool that must be called first."""


def merge_work(
    left: dict[str, list[AnyMessage]], right: Mapping[str, list[AnyMessage] | None] | None
) -> dict[str, list[AnyMessage]]:
    """Append to each step's transcript; None in place of messages drops it, None for all, all."""
    if right is None:
        return {}
    merged = dict(left)
    for step_id, messages in right.items():
        if messages is None:
            merged.pop(step_id, None)
        else:
            merged[step_id] = add_messages(merged.get(step_id, []), messages)  # type: ignore[assignment, arg-type] # declared as a union; gives a list for lists
    return merged


def add_usage(left: Usage, right: Usage) -> Usage:
    """Sum two usages; one marked `restart` begins a new run's account."""
    base = NOTHING_USED if right.get("restart") or not left else left
    return Usage(
        calls=base["calls"] + right["calls"],
        input_tokens=base["input_tokens"] + right["input_tokens"],
        output_tokens=base["output_tokens"] + right["output_tokens"],
        tool_calls=base["tool_calls"] + right["tool_calls"],
        cached_tokens=base.get("cached_tokens", 0) + right.get("cached_tokens", 0),
        reasoning_tokens=base.get("reasoning_tokens", 0) + right.get("reasoning_tokens", 0),
    )


def add_elapsed(left: Elapsed, right: Elapsed) -> Elapsed:
    """Add a stretch of work; what ran side by side counts once."""
    if right.get("restart") or not left:
        return Elapsed(began=right["began"], ended=right["ended"], seconds=right["seconds"])
    is_apart = right["began"] >= left["ended"]
    new_s = right["seconds"] if is_apart else max(0.0, right["ended"] - left["ended"])
    return Elapsed(
        began=right["began"],
        ended=max(left["ended"], right["ended"]),
        seconds=left["seconds"] + min(new_s, right["seconds"]),
    )


class Input(TypedDict):
    """What a run takes: the new messages of the conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


class State(Input):
    """Everything a run knows; `messages` is the conversation, `work` each step's transcript.

    `draft` is the plan as triage's model wrote it; `batches` are the steps that the executor has
    just started and that share a request; `left` is what the run may still spend.
    """

    task_type: NotRequired[TaskType]
    draft: NotRequired[dict[str, object]]
    plan: NotRequired[list[Step]]
    batches: NotRequired[list[Batch]]
    work: NotRequired[Annotated[dict[str, list[AnyMessage]], merge_work]]
    needs_plan: NotRequired[bool]
    verdict: NotRequired[Verdict]
    lessons: NotRequired[list[str]]
    recap: NotRequired[Recap]
    send_backs: NotRequired[int]
    usage: NotRequired[Annotated[Usage, add_usage]]
    elapsed: NotRequired[Annotated[Elapsed, add_elapsed]]
    left: NotRequired[Left]
    remaining_steps: NotRequired[RemainingSteps]


Ending = Literal["", "budget", "rounds", "loop"]


class ModelTask(TypedDict):
    """One round of the model: on a step's transcript, or on the conversation (`step_id` None).

    `ending` is why it must answer now; `avoid` the model that answered badly before.
    """

    step_id: int | None
    transcript: list[AnyMessage]
    task_type: TaskType
    usage: Usage
    left: Left
    ending: Ending
    avoid: str


class BatchTask(Batch):
    """One round of the model on several steps at once."""

    task_type: TaskType


class ToolTask(TypedDict):
    """One tool call, of a step or of the conversation."""

    step_id: int | None
    call: ToolCall
    objection: str
    """Why the call is not made, in words for the model; empty when it may be."""
