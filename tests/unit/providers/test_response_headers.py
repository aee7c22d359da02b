"""Headers reach the call that made the request, however the request was made."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from potluck.providers.response_headers import (
    SeenResponses,
    captured_headers,
    note_aiohttp,
    note_response,
    note_response_async,
    response_hooks,
)


@dataclass
class Response:
    status_code: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"X-Left": "3"})


@dataclass
class AiohttpResponse:
    status: int = 429
    headers: dict[str, str] = field(default_factory=dict)


async def test_of_a_task_that_the_call_started() -> None:
    with captured_headers() as seen:
        await asyncio.create_task(note_response_async(Response()))
    assert (seen.status, dict(seen.headers)) == (200, {"x-left": "3"})


async def test_calls_side_by_side_see_their_own() -> None:
    async def call(left: str) -> str:
        with captured_headers() as seen:
            await asyncio.sleep(0)
            note_response(Response(headers={"X-Left": left}))
            await asyncio.sleep(0)
        return seen.headers["x-left"]

    assert await asyncio.gather(call("1"), call("2"), call("3")) == ["1", "2", "3"]


def test_outside_of_a_call_nobody_keeps_them() -> None:
    with captured_headers() as seen:
        pass
    note_response(Response())
    assert seen.responses == []
    assert (seen.status, seen.headers) == (None, {})


def test_the_inner_of_two_calls_has_them() -> None:
    with captured_headers() as outer:
        with captured_headers() as inner:
            note_response(Response())
        note_response(Response(headers={}))
    assert (len(inner.responses), len(outer.responses)) == (1, 1)


async def test_two_streams_that_take_turns_keep_theirs_apart() -> None:
    async def stream(left: str, seen: SeenResponses) -> AsyncIterator[None]:
        for _ in range(2):
            with captured_headers(seen):
                await asyncio.sleep(0)
                note_response(Response(headers={"X-Left": left}))
            yield

    one, two = SeenResponses(), SeenResponses()
    async for _ in (first := stream("1", one)):
        async for _ in stream("2", two):
            pass
        break
    await first.aclose()  # type: ignore[attr-defined] # a generator
    assert {response.headers["x-left"] for response in one.responses} == {"1"}
    assert {response.headers["x-left"] for response in two.responses} == {"2"}


async def test_a_generator_closed_in_another_context_ends_quietly() -> None:
    async def stream() -> AsyncIterator[None]:
        with captured_headers():
            yield

    opened = stream()
    await asyncio.create_task(anext(opened))  # type: ignore[arg-type] # a coroutine
    await opened.aclose()  # type: ignore[attr-defined] # a generator


@dataclass
class Connection:
    protocol: object


class AiohttpRequest:
    async def send(self, connection: Connection) -> str:
        assert connection
        return "sent"


async def test_of_aiohttp_too() -> None:
    protocol = type("Protocol", (), {})()
    sent: list[str] = []

    async def send(request: Any) -> AiohttpResponse:
        assert await request.send(Connection(protocol)) == "sent"
        return AiohttpResponse(headers={"A": "b"})

    with captured_headers(SeenResponses(on_sent=lambda: sent.append("told"))) as seen:
        response = await note_aiohttp(AiohttpRequest(), send)
        assert not seen.was_open
        await note_aiohttp(AiohttpRequest(), send)
        assert seen.was_open
    assert response.status == 429
    assert (seen.status, dict(seen.headers)) == (429, {"a": "b"})
    assert sent == ["told", "told"]


def test_a_provider_that_redirects_for_ever_fills_no_memory() -> None:
    with captured_headers() as seen:
        for _ in range(1000):
            note_response(Response())
    assert len(seen.responses) == 8


def test_hooks_are_each_clients_own() -> None:
    assert response_hooks()["response"] is not response_hooks()["response"]
