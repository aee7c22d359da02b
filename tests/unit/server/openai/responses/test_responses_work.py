"""Work in the background: followed by anybody, stopped by anybody, ended with the server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from potluck.server.openai.errors import ApiError
from potluck.server.openai.responses import work as module
from potluck.server.openai.responses.kept import Kept, MemoryShelf
from potluck.server.openai.responses.work import Works


class Making:
    """Events that come when the test says so."""

    def __init__(self, shelf: MemoryShelf, error: Exception | None = None) -> None:
        self.shelf = shelf
        self.envelope = self
        self.id = "resp_1"
        self.go_on = asyncio.Event()
        self.is_closed = False
        self._error = error

    async def events(self) -> AsyncGenerator[Any]:
        try:
            if self._error is not None:
                raise self._error
            for number in range(4):
                if number == 2:
                    await self.go_on.wait()
                yield {"type": "x", "sequence_number": number}
        finally:
            self.is_closed = True


async def numbers(work: Any, after: int = -1) -> list[int]:
    return [event["sequence_number"] async for event in work.follow(after)]


async def test_all_who_follow_see_every_event() -> None:
    made: Any = Making(MemoryShelf())
    work = Works().start(made, AsyncExitStack())
    early = asyncio.create_task(numbers(work))
    await asyncio.sleep(0)
    made.go_on.set()

    assert await early == [0, 1, 2, 3]
    assert await numbers(work) == [0, 1, 2, 3]
    assert await numbers(work, after=1) == [2, 3]


async def test_it_goes_on_when_its_reader_leaves() -> None:
    made: Any = Making(MemoryShelf())
    work = Works().start(made, AsyncExitStack())
    events = work.follow()
    await anext(events)
    await events.aclose()
    made.go_on.set()
    assert await numbers(work) == [0, 1, 2, 3]


async def test_what_kept_it_from_beginning_is_raised() -> None:
    made: Any = Making(MemoryShelf(), ApiError("No."))
    work = Works().start(made, AsyncExitStack())
    with pytest.raises(ApiError, match=r"No\."):
        await numbers(work)


async def test_it_is_stopped_and_its_followers_are_let_go() -> None:
    works, made = Works(), Making(MemoryShelf())
    given: Any = made
    work = works.start(given, AsyncExitStack())
    following = asyncio.create_task(numbers(work))
    await asyncio.sleep(0.01)
    await works.stop("resp_1")

    assert await following == [0, 1]
    assert made.is_closed
    assert not works.is_active("resp_1")


@pytest.mark.parametrize("status", ["cancelled", None])
async def test_it_stops_when_it_was_cancelled_or_deleted_elsewhere(
    monkeypatch: pytest.MonkeyPatch, status: str | None
) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    shelf = MemoryShelf()
    if status is not None:
        body = {"id": "resp_1", "status": status, "output": []}
        await shelf.put(Kept("", body, []))
    made: Any = Making(shelf)
    async with asyncio.timeout(5):
        assert await numbers(Works().start(made, AsyncExitStack())) == [0, 1]


async def test_it_ends_with_the_server() -> None:
    made: Any = Making(MemoryShelf())
    async with AsyncExitStack() as opened:
        Works().start(made, opened)
        await asyncio.sleep(0)
    assert made.is_closed
