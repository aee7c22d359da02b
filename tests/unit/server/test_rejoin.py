"""A run's stream is read to the run's end, however often it breaks off before."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from langgraph_sdk.schema import StreamPart

from potluck.server import rejoin
from potluck.server.rejoin import Count, to_the_end
from potluck.server.turn import Begun, Missed, Part, Piece, RunError, Turn, Values, run_turn

HI: Any = {"role": "user", "content": "hi"}
DONE = {"messages": [{"type": "ai", "id": "m", "content": "one two"}]}
MARKS = {"audience": "user", "langgraph_node": "triage"}


def event(number: int, name: str, data: Any = None) -> StreamPart:
    return StreamPart(name, data, f"r_event_{number}")


def piece(number: int, text: str) -> StreamPart:
    return event(
        number, "messages", [{"type": "AIMessageChunk", "id": "m", "content": text}, MARKS]
    )


BEGUN = event(1, "metadata", {"run_id": "r"})
WHOLE = [BEGUN, piece(2, "one"), piece(3, " two"), event(4, "values", DONE), event(5, "end")]


class FakeServer:
    """Streams these events, one list for each time that somebody begins to listen."""

    def __init__(self, *streams: list[StreamPart], status: str = "running") -> None:
        self.runs = self.threads = self
        self.streams = list(streams)
        self.status = status
        self.since: list[str] = []
        self.waits_s: list[float] = []

    async def stream(self, *_: Any, on_run_created: Any, **__: Any) -> AsyncGenerator[StreamPart]:
        on_run_created({"run_id": "r", "thread_id": "t"})
        for one in self.streams.pop(0):
            yield one

    async def join_stream(
        self, thread_id: str, run_id: str, *, stream_mode: Any, last_event_id: str
    ) -> AsyncGenerator[StreamPart]:
        assert (thread_id, run_id) == ("t", "r")
        assert "custom" in stream_mode
        self.since.append(last_event_id)
        for one in self.streams.pop(0) if self.streams else []:
            yield one

    async def get(self, *_: str) -> Any:
        return {"run_id": "r", "status": self.status, "error_message": "it broke"}

    async def get_state(self, _: str) -> Any:
        return {"values": DONE, "interrupts": []}

    async def cancel(self, *_: str) -> None:
        self.status = "interrupted"


@pytest.fixture(autouse=True)
def still_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(_: float) -> None:
        pass

    monkeypatch.setattr(rejoin.asyncio, "sleep", sleep)


async def turn(server: FakeServer) -> list[Part]:
    client: Any = server
    return [part async for part in run_turn(client, Turn([HI], "t", thread_exists=True))]


def words(parts: list[Part]) -> list[str]:
    return [part.text for part in parts if isinstance(part, Piece)]


async def test_a_stream_that_breaks_off_is_joined_where_it_was() -> None:
    server = FakeServer(WHOLE[:2], WHOLE[2:3], [], WHOLE[3:])
    parts = await turn(server)
    assert words(parts) == ["one", " two"]
    assert parts[-1] == Values(DONE)
    assert server.since == ["r_event_2", "r_event_3", "r_event_3"]
    assert Missed() not in parts


async def test_a_run_that_has_ended_meanwhile_is_told_from_its_threads_state() -> None:
    server = FakeServer(WHOLE[:2], status="success")
    parts = await turn(server)
    assert parts[0] == Begun("r")
    assert words(parts) == ["one"]
    assert parts[2:] == [Missed(), Values({**DONE, "__interrupt__": []})]
    assert server.since == []


async def test_a_run_that_has_failed_meanwhile_is_an_error() -> None:
    with pytest.raises(RunError, match="it broke"):
        await turn(FakeServer(WHOLE[:2], status="error"))


async def test_a_run_that_never_says_more_is_an_error_in_the_end() -> None:
    server = FakeServer(WHOLE[:2])
    with pytest.raises(RunError, match="broke off") as caught:
        await turn(server)
    assert caught.value.status == 503
    assert len(server.since) == rejoin.MAX_JOINS


async def test_a_server_that_numbers_no_events_ends_with_its_stream() -> None:
    unnumbered = [StreamPart(one.event, one.data, None) for one in WHOLE[:-1]]
    server = FakeServer(unnumbered)
    assert words(await turn(server)) == ["one", " two"]
    assert server.since == []


async def test_a_stream_of_nobody_knows_what_is_an_error() -> None:
    async def cut() -> AsyncGenerator[StreamPart]:
        yield BEGUN

    client: Any = None
    with pytest.raises(httpx.RemoteProtocolError):
        [one async for one in to_the_end(client, cut(), lambda: None, ("values",))]


async def test_a_hole_in_the_numbers_is_told() -> None:
    server = FakeServer([BEGUN, piece(2, "one"), *WHOLE[3:]])
    assert [type(part) for part in await turn(server)] == [Begun, Piece, Missed, Values]


@pytest.mark.parametrize("ids", [["x", "y"], [None, "r_event_9"], ["r_event_7x"], ["r_event_1"]])
def test_where_nothing_is_numbered_nothing_is_missing(ids: list[str | None]) -> None:
    count = Count()
    assert not any(count.skips_to(one) for one in ids)
