"""What needs the database is refused at once while it is out; what has begun is left alone."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from potluck.server.database_door import DatabaseDoor

GRACE_S = 0.02


class Served:
    """An app that answers when it is let, and a database that is there or not."""

    def __init__(self) -> None:
        self.is_there = True
        self.asked = 0
        self.may_begin, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_begin.set()
        self.may_end.set()
        self.was_cancelled = False

    async def answers(self) -> bool:
        self.asked += 1
        return self.is_there

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await self.may_begin.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await self.may_end.wait()
            await send({"type": "http.response.body", "body": b"all of it"})
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


@pytest.fixture
async def served() -> Served:
    return Served()


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


async def ask(served: Served, path: str = "/threads") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Message) -> None:
        sent.append(message)

    door = DatabaseDoor(served, served.answers, grace_s=GRACE_S)
    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    await door(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    "path", ["/threads", "/threads/1/runs/wait", "/runs", "/store/items", "/quota", "/ready"]
)
async def test_refuses_what_needs_the_database_while_it_is_out(served: Served, path: str) -> None:
    served.is_there = False
    start, body = await ask(served, path)
    assert start["status"] == 503
    assert (b"retry-after", b"5") in start["headers"]
    assert b"Check that PostgreSQL runs" in body["body"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/agent/invoke", "/live", "/threadsafe"])
async def test_leaves_alone_what_does_not(served: Served, path: str) -> None:
    served.is_there = False
    start, _ = await ask(served, path)
    assert start["status"] == 200
    assert served.asked == 0


async def test_hands_on_while_it_is_there(served: Served) -> None:
    start, body = await ask(served)
    assert (start["status"], body["body"]) == (200, b"all of it")


async def test_does_not_wait_with_a_request_that_hangs_because_it_went_away(
    served: Served,
) -> None:
    served.may_begin.clear()
    answer = asyncio.create_task(ask(served))
    await asyncio.sleep(GRACE_S / 2)
    served.is_there = False
    start, _ = await answer
    assert start["status"] == 503
    await asyncio.sleep(0)
    assert served.was_cancelled


async def test_an_answer_that_has_begun_goes_on(served: Served) -> None:
    served.may_end.clear()
    answer = asyncio.create_task(ask(served))
    await asyncio.sleep(GRACE_S / 2)
    served.is_there = False
    await asyncio.sleep(2 * GRACE_S)
    served.may_end.set()
    start, body = await answer
    assert (start["status"], body["body"]) == (200, b"all of it")


async def test_a_long_request_is_left_alone_when_the_database_was_there(served: Served) -> None:
    served.may_begin.clear()
    answer = asyncio.create_task(ask(served))
    await asyncio.sleep(2 * GRACE_S)
    served.is_there = False
    await asyncio.sleep(2 * GRACE_S)
    served.may_begin.set()
    assert (await answer)[0]["status"] == 200


async def test_a_caller_that_is_cancelled_cancels_the_request(served: Served) -> None:
    served.may_begin.clear()
    answer = asyncio.create_task(ask(served))
    await asyncio.sleep(GRACE_S / 2)
    answer.cancel()
    await asyncio.wait({answer})
    await asyncio.sleep(0)
    assert served.was_cancelled
