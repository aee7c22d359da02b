import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from potluck.server.openai.stream import (
    AHEAD,
    KEEP_ALIVE,
    ClientGoneError,
    EventStream,
    KeptAlive,
    finish_for,
)


class Client:
    """A client that leaves when told to."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}


class Source:
    """A source of events that tells how far it was read and whether it was closed."""

    def __init__(self, *events: bytes, pause_s: float = 0, error: Exception | None = None) -> None:
        self.events = events
        self.pause_s = pause_s
        self.error = error
        self.made = 0
        self.closed = asyncio.Event()

    async def stream(self) -> AsyncGenerator[bytes]:
        try:
            for event in self.events:
                await asyncio.sleep(self.pause_s)
                self.made += 1
                yield event
            if self.error:
                raise self.error
        finally:
            self.closed.set()


async def read(source: Source, *, beat_s: float = 5) -> list[bytes]:
    kept = KeptAlive(source.stream(), beat_s=beat_s)
    await kept.start()
    return [event async for event in kept]


async def test_passes_every_event_on_as_it_comes() -> None:
    source = Source(b"a", b"b", pause_s=0.01)
    assert await read(source) == [b"a", b"b"]
    assert source.closed.is_set()


async def test_what_has_come_together_goes_out_together() -> None:
    kept = KeptAlive(Source(b"a", b"b", b"c").stream())
    await kept.start()
    await asyncio.sleep(0.01)
    assert [events async for events in kept] == [b"a", b"bc"]


async def test_an_empty_source_is_an_empty_stream() -> None:
    assert await read(Source()) == []


async def test_breaks_the_silence_with_comments() -> None:
    events = await read(Source(b"a", b"b", pause_s=0.05), beat_s=0.02)
    assert [event for event in events if event != KEEP_ALIVE] == [b"a", b"b"]
    assert events[0] == KEEP_ALIVE
    assert events.count(KEEP_ALIVE) >= 3


async def test_a_failure_before_the_first_event_is_raised_at_the_start() -> None:
    kept = KeptAlive(Source(error=ValueError("no")).stream())
    with pytest.raises(ValueError, match="no"):
        await kept.start()


async def test_a_later_failure_is_raised_where_it_happens() -> None:
    kept = KeptAlive(Source(b"a", error=ValueError("no")).stream())
    await kept.start()
    got = []
    with pytest.raises(ValueError, match="no"):  # noqa: PT012 - the events before it count
        async for event in kept:
            got.append(event)  # noqa: PERF401 - a comprehension would lose them
    assert got == [b"a"]


async def test_a_reader_that_stops_ends_the_source() -> None:
    source = Source(b"a", b"b", pause_s=0.01)
    kept = KeptAlive(source.stream())
    await kept.start()
    await kept.aclose()
    assert source.closed.is_set()
    assert source.made == 1


async def test_does_not_run_far_ahead_of_its_reader() -> None:
    source = Source(*[b"x"] * (3 * AHEAD))
    kept = KeptAlive(source.stream())
    await kept.start()
    await asyncio.sleep(0.05)
    assert source.made <= AHEAD + 2
    assert sum([len(events) async for events in kept]) == 3 * AHEAD


async def test_a_reader_that_takes_nothing_ends_the_source() -> None:
    source = Source(*[b"x"] * (3 * AHEAD))
    kept = KeptAlive(source.stream(), patience_s=0.01)
    await kept.start()
    await asyncio.wait_for(source.closed.wait(), 1)
    assert AHEAD <= sum([len(events) async for events in kept]) < 3 * AHEAD


async def test_the_work_ends_when_the_client_leaves() -> None:
    client, source = Client(), Source(b"a", pause_s=60)
    kept = KeptAlive(source.stream())
    asyncio.get_running_loop().call_later(0.01, client.left.set)
    with pytest.raises(ClientGoneError):
        await finish_for(client, kept.start())  # type: ignore[arg-type] # stands in
    assert source.closed.is_set()


async def test_work_that_ends_first_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await finish_for(Client(), work()) == 7  # type: ignore[arg-type] # stands in


async def test_a_response_that_cannot_be_sent_ends_the_source() -> None:
    source = Source(b"a", b"b", pause_s=0.01)
    kept = KeptAlive(source.stream())
    await kept.start()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    response = EventStream(kept, {"X-Test": "1"})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with pytest.raises(Exception, match=r"^$"):
        await response(scope, Client().receive, send)
    assert source.closed.is_set()
