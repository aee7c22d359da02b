"""One turn of the agent through the LangGraph API, told as parts."""

import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIError
from langgraph_sdk.schema import RunCreateMetadata, StreamMode, StreamPart

from potluck.errors import PotluckError
from potluck.events import AUDIENCE_KEY, ErrorEvent, Event
from potluck.quota.parked_run import PARKED
from potluck.server.abandoned import settle
from potluck.server.approvals import Approval, Resume, approvals_in
from potluck.server.rejoin import Count, ends_run, to_the_end
from potluck.server.relay import relay
from potluck.server.run_marks import marked

GRAPH_ID = "agent"
# A thread called by a name that is no UUID gets one, the same for the same name.
THREAD_NAMESPACE = uuid.UUID("6a1f7c0e-3f0b-5d0c-9a55-7f3e7b1d2c48")
STREAM_MODES: tuple[StreamMode, ...] = ("messages-tuple", "custom", "values")

# What a run's metadata begins with that belongs to its turn, whichever run goes on with it
MARK_PREFIX = "chat_"

# JSON as langgraph_sdk hands it over; nothing narrower is promised by the server
Wire = Mapping[str, Any]

# The context of a run that is not kept: nobody could pick it up later.
UNATTENDED: Wire = {"when_out": "wait", "can_ask": False}


class RunError(PotluckError):
    """The agent's run failed or was refused; `status` is the HTTP status that says so.

    `back_at` when asking again then may do: it failed for want of quota, or of the database (503).
    """

    def __init__(self, message: str, *, status: int, back_at: datetime | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.back_at = back_at


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked, on which thread (None: none is kept), and how: see graph.state.Context.

    With `decisions` nothing is asked: the run goes on that waits for them.
    """

    messages: Sequence[Wire] = ()
    thread_id: str | None = None
    context: Wire = field(default_factory=dict)
    thread_exists: bool = False
    """The thread is known to be there, and need not be made."""
    decisions: Resume = field(default_factory=dict)
    checkpoint_id: str | None = None
    """Where in the thread's past to go on (None: where it is), as a branch of its own."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Metadata of all checkpoints of the run, by which they are found again."""
    is_detached: bool = False
    """The run goes on when its caller leaves; only on a thread."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a message that a model is writing in `node`."""

    message: Wire
    node: str
    for_user: bool

    @property
    def id(self) -> str:
        """The message it belongs to."""
        return str(self.message.get("id") or "")

    @property
    def text(self) -> str:
        """The text in it; empty for tool calls and reasoning."""
        return text_of(self.message)


@dataclass(frozen=True, slots=True)
class Happened:
    """The agent did something."""

    event: Event


@dataclass(frozen=True, slots=True)
class Values:
    """The state after a step."""

    state: Wire

    @property
    def messages(self) -> list[Wire]:
        """The conversation."""
        return list(self.state.get("messages") or [])


@dataclass(frozen=True, slots=True)
class Begun:
    """The server has taken the run on; again, when another one has died over it."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Parked:
    """The run has stopped for want of quota, and goes on by itself at `resume_at`."""

    resume_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The run has stopped until a person has decided about these calls; the last part of a turn."""

    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """Some of what the run said is lost: what it has come to is in the next values."""


Part = Begun | Piece | Happened | Values | Parked | Asked | Missed


def thread_id_of(name: str, owner: str = "") -> str:
    """The thread that a caller means: a UUID as it is, a name by a UUID of its owner's own."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(THREAD_NAMESPACE, f"{owner}\x1e{name}" if owner else name))


async def run_turn(client: LangGraphClient, turn: Turn) -> AsyncGenerator[Part]:
    """Run the turn; whoever stops iterating cancels it, unless it is detached.

    Raises RunError when the server refuses the run, cannot be reached, or the run fails.
    """
    created: list[RunCreateMetadata] = []
    ended = False
    try:
        if turn.thread_id is not None and not turn.thread_exists:
            with run_errors():
                await client.threads.create(thread_id=turn.thread_id, if_exists="do_nothing")
        started = _start(client, turn, created.append)
        events = to_the_end(client, started, lambda: next(iter(created), None), STREAM_MODES)
        async with aclosing(parts_of(events)) as parts:
            async for part in parts:
                yield part
        ended = True
    finally:
        if created and not ended and not turn.is_detached:
            await settle(client, created[0], keep_thread=turn.thread_id is not None)


async def parts_of(events: AsyncGenerator[StreamPart]) -> AsyncGenerator[Part]:
    """The events of a run's stream as parts. Raises RunError, at the latest at its end."""
    told: ErrorEvent | None = None
    asked: dict[str, Approval] = {}
    count = Count()
    # Closed at once when the caller stops, for that is what cancels the run.
    with run_errors():
        async with aclosing(relay(events, is_last=ends_run)) as stream:
            async for sse in stream:
                if count.skips_to(sse.id):
                    yield Missed()
                if sse.event == "custom" and sse.data.get("type") == "error":
                    told = cast("ErrorEvent", sse.data)
                    continue
                if sse.event == "error":
                    raise _failure(sse.data, told)
                if sse.event == "values":
                    # Each call that waits comes with values of its own.
                    waiting = approvals_in(sse.data.get("__interrupt__") or ())
                    asked |= {one.id: one for one in waiting}
                part = _part(sse.event, sse.data)
                if part is not None:
                    yield part
    if asked:
        yield Asked(tuple(asked.values()))


@contextmanager
def run_errors() -> Iterator[None]:
    """What the server answers instead of a stream, as RunError."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _refused(error) from error
    except httpx.HTTPError as error:
        raise RunError(f"The server was not reached: {error!r}.", status=503) from error


def _refused(error: httpx.HTTPStatusError) -> RunError:
    status, wait_s = error.response.status_code, error.response.headers.get("Retry-After", "")
    if status != 503 or not wait_s.isdecimal():
        return RunError(str(error), status=status if status < 500 else 502)
    told = error.body if isinstance(error, APIError) and isinstance(error.body, Mapping) else {}
    back_at = datetime.now(UTC) + timedelta(seconds=int(wait_s))
    return RunError(str(told.get("detail") or error), status=status, back_at=back_at)


def _start(
    client: LangGraphClient, turn: Turn, on_created: Callable[[RunCreateMetadata], None]
) -> AsyncGenerator[StreamPart]:
    asked = {"messages": list(turn.messages)}
    if turn.thread_id is None:
        stream = client.runs.stream(
            None,
            GRAPH_ID,
            input=asked,
            context=dict(UNATTENDED) | dict(turn.context),
            stream_mode=STREAM_MODES,
            on_disconnect="cancel",
            on_run_created=on_created,
            on_completion="delete",
        )
    else:
        stream = client.runs.stream(
            turn.thread_id,
            GRAPH_ID,
            input=None if turn.decisions else asked,
            command={"resume": dict(turn.decisions)} if turn.decisions else None,
            context=dict(turn.context),
            config=marked(turn.marks),
            checkpoint_id=turn.checkpoint_id,
            stream_mode=STREAM_MODES,
            on_disconnect="continue" if turn.is_detached else "cancel",
            on_run_created=on_created,
        )
    return cast("AsyncGenerator[StreamPart]", stream)


def _part(event: str, data: Any) -> Part | None:
    if event == "messages":
        message, metadata = data
        return Piece(
            message=message,
            node=str(metadata.get("langgraph_node", "")),
            for_user=metadata.get(AUDIENCE_KEY) == "user"
            and message.get("type") in {"ai", "AIMessageChunk"},
        )
    if event == "custom":
        return Happened(cast("Event", data))
    if event == "values":
        return parked_in(data.get("__interrupt__") or ()) or Values(data)
    if event == "metadata":
        return Begun(str(data.get("run_id", "")))
    return None


def parked_in(interrupts: Sequence[Wire]) -> Parked | None:
    """When a run goes on that stopped with these interrupts; None when not for want of quota."""
    parked = [
        Parked(datetime.fromisoformat(value["resume_at"]), str(value.get("reason", "")))
        for value in (interrupt.get("value") for interrupt in interrupts)
        if isinstance(value, Mapping) and value.get("type") == PARKED
    ]
    return min(parked, key=lambda one: one.resume_at, default=None)


def _failure(data: Any, told: ErrorEvent | None) -> RunError:
    """Why the run failed: what the agent told of it, or the little that the server says."""
    if told is not None and "back_at" in told:
        back_at = datetime.fromisoformat(told["back_at"])
        return RunError(told["text"], status=429, back_at=back_at)
    if told is not None:
        return RunError(told["text"], status=400 if told["by_caller"] else 502)
    if isinstance(data, Mapping):
        data = data.get("message") or data.get("error")
    return RunError(str(data or "The run failed."), status=500)


def text_of(message: Wire) -> str:
    """The text of a message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    texts = [
        part if isinstance(part, str) else str(part.get("text") or "")
        for part in content or []
        if isinstance(part, str) or part.get("type") == "text"
    ]
    return "".join(texts)
