"""A turn that is parked on its way, told as one; and what is under way on a thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from langgraph_sdk.schema import StreamPart

from potluck.server import parked_turn
from potluck.server.approvals import Approval
from potluck.server.parked_turn import pick_up, run_through
from potluck.server.turn import Asked, Begun, Parked, Part, Piece, RunError, Turn, Values

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SOON = NOW - timedelta(milliseconds=1)
LATER = datetime(2099, 1, 1, tzinfo=UTC)
TURN = Turn([{"role": "user", "content": "hi"}], "t", thread_exists=True)
END = StreamPart("end", None)
DONE = {"messages": [{"type": "ai", "id": "a", "content": "done"}]}


def begun(run_id: str) -> StreamPart:
    return StreamPart("metadata", {"run_id": run_id})


def parked(at: datetime = SOON) -> StreamPart:
    payload = {"type": "parked", "resume_at": at.isoformat(), "reason": "spent"}
    return StreamPart("values", {"__interrupt__": [{"id": "i", "value": payload}]})


def piece(text: str) -> StreamPart:
    marks = {"audience": "user", "langgraph_node": "triage"}
    return StreamPart("messages", [{"type": "AIMessageChunk", "id": "m", "content": text}, marks])


class FakeServer:
    """A LangGraph API: the first run and those that go on with it, each as its events."""

    def __init__(self, *runs: list[StreamPart], status: str = "interrupted") -> None:
        self.threads = self.runs = self
        self.events = list(runs)
        self.status = status
        self.state: Any = {"values": DONE, "interrupts": []}
        self.polls = 0
        self.joined: list[tuple[str, str]] = []
        self.cancelled: list[str] = []
        self.run_status = "success"
        self.error: Exception | None = None

    async def stream(self, *_: Any, on_run_created: Any, **__: Any) -> AsyncIterator[StreamPart]:
        on_run_created({"run_id": "r0", "thread_id": "t"})
        for event in self.events[0]:
            yield event

    async def join_stream(
        self, _: str, run_id: str, *, stream_mode: Any, last_event_id: str
    ) -> AsyncIterator[StreamPart]:
        assert "values" in stream_mode
        self.joined.append((run_id, last_event_id))
        for event in self.events[int(run_id[1:])]:
            yield event

    async def list(self, _: str, *, limit: int) -> list[dict[str, str]]:
        assert limit == 1
        if self.error:
            raise self.error
        self.polls += 1
        # The next run is there at the second look.
        place = min(len(self.joined) + (self.polls >= 2), len(self.events) - 1)
        return [{"run_id": f"r{place}"}]

    async def get(self, _: str, run_id: str | None = None) -> Any:
        return {"status": self.status if run_id is None else self.run_status, "error_message": "x"}

    async def get_state(self, _: str) -> Any:
        return self.state

    async def cancel(self, _: str, run_id: str) -> None:
        self.cancelled.append(run_id)
        self.run_status = "interrupted"


@pytest.fixture(autouse=True)
def still_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_turn, "_now", lambda: NOW)
    real = asyncio.sleep

    async def sleep(_: float) -> None:
        await real(0)

    monkeypatch.setattr(parked_turn.asyncio, "sleep", sleep)


async def through(server: FakeServer, limit_s: float | None = None) -> list[Part]:
    client: Any = server
    return [part async for part in run_through(client, TURN, wait_limit_s=limit_s)]


async def test_a_run_that_goes_on_is_told_as_one_from_its_first_event() -> None:
    server = FakeServer(
        [begun("r0"), parked(), END],
        [begun("r1"), parked(), END],
        [begun("r2"), piece("done"), StreamPart("values", DONE), END],
    )
    parts = await through(server)
    assert [type(part) for part in parts if not isinstance(part, Begun)] == [
        Parked, Parked, Piece, Values,
    ]  # fmt: skip
    assert server.joined == [("r1", "r1_event_0"), ("r2", "r2_event_0")]
    assert server.cancelled == []


async def test_who_would_wait_too_long_does_not_wait_at_all() -> None:
    server = FakeServer([begun("r0"), parked(LATER), END])
    parts = await through(server, limit_s=60)
    assert parts == [Begun("r0"), Parked(LATER, "spent")]
    assert server.polls == 0


def asked(interrupt_id: str = "a") -> StreamPart:
    request = {"name": "shell", "args": {}, "description": "why"}
    interrupt = {"id": interrupt_id, "value": {"action_requests": [request]}}
    return StreamPart("values", {**DONE, "__interrupt__": [interrupt]})


def waiting(*interrupt_ids: str) -> Asked:
    return Asked(tuple(Approval(one, "shell", {}, "why") for one in interrupt_ids))


async def test_a_person_is_asked_before_what_is_parked_is_waited_for() -> None:
    server = FakeServer([begun("r0"), parked(LATER), asked(), END])
    server.state = {"interrupts": [*parked().data["__interrupt__"], *asked().data["__interrupt__"]]}
    parts = await through(server)
    assert parts == [Begun("r0"), Values(asked().data), waiting("a")]
    assert server.polls == 0


async def test_calls_that_wait_are_told_in_the_threads_order_whichever_came_first() -> None:
    server = FakeServer([begun("r0"), asked("b"), asked("a"), END])
    stopped = [*asked("a").data["__interrupt__"], *asked("b").data["__interrupt__"]]
    server.state = {"interrupts": stopped}
    assert (await through(server))[-1] == waiting("a", "b")


async def test_picks_up_a_thread_that_waits_for_a_person() -> None:
    server = FakeServer([])
    server.state = {"values": DONE, "interrupts": asked().data["__interrupt__"]}
    client: Any = server
    parts = [part async for part in pick_up(client, "t")]
    assert parts == [Begun("r0"), Values(DONE), waiting("a")]


async def test_work_that_was_given_up_ends_with_the_threads_state() -> None:
    server = FakeServer([begun("r0"), parked(), END], status="idle")
    assert (await through(server))[-1] == Values(DONE)
    assert server.joined == []


async def test_a_run_whose_events_are_forgotten_ends_with_the_threads_state() -> None:
    server = FakeServer([begun("r0"), parked(), END], [END])
    assert (await through(server))[-1] == Values(DONE)


async def test_a_run_that_went_on_and_failed_is_an_error() -> None:
    server = FakeServer([begun("r0"), parked(), END], [END])
    server.run_status = "error"
    with pytest.raises(RunError, match="x"):
        await through(server)


async def test_a_server_that_goes_away_is_an_error() -> None:
    server = FakeServer([begun("r0"), parked(), END])
    server.error = httpx.ConnectError("gone")
    with pytest.raises(RunError) as caught:
        await through(server)
    assert caught.value.status == 503


async def test_whoever_leaves_cancels_the_run_that_goes_on() -> None:
    server = FakeServer([begun("r0"), parked(), END], [begun("r1"), piece("a"), piece("b"), END])
    server.run_status = "running"
    client: Any = server
    async with aclosing(run_through(client, TURN)) as parts:
        async for part in parts:
            if isinstance(part, Piece):
                break
    assert server.cancelled == ["r1"]


async def test_picks_up_the_run_at_work() -> None:
    server = FakeServer([begun("r0"), piece("half"), StreamPart("values", DONE), END])
    server.status = "busy"
    client: Any = server
    parts = [part async for part in pick_up(client, "t")]
    assert [type(part) for part in parts] == [Begun, Begun, Piece, Values]


async def test_an_idle_thread_is_told_as_it_is() -> None:
    client: Any = FakeServer([], status="idle")
    assert [part async for part in pick_up(client, "t")] == [Begun("r0"), Values(DONE)]


async def test_picks_up_a_parked_thread() -> None:
    server = FakeServer([], [begun("r1"), StreamPart("values", DONE), END])
    server.state = {"values": {}, "interrupts": parked().data["__interrupt__"]}
    client: Any = server
    parts = [part async for part in pick_up(client, "t")]
    assert Parked(SOON, "spent") in parts
    assert parts[-1] == Values(DONE)
