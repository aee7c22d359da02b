"""A server that stops lets nobody fall between two stools."""

import asyncio
from typing import Any

import httpx
import pytest

from potluck.server.draining import LONGEST_S, NOTICED_S, Draining

KEY = "internal"


class Server:
    """An app whose answers to /slow wait until they may go."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.may_go = asyncio.Event()
        self.is_asked = asyncio.Event()
        self.draining = Draining(self._app, KEY, clock=lambda: self.now_s)
        transport = httpx.ASGITransport(self.draining)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://server")

    async def _app(self, scope: Any, _: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            self.is_asked.set()
            await self.may_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})

    async def status(self, path: str, **headers: str) -> int:
        return (await self.http.get(path, headers=headers)).status_code


@pytest.fixture
def server() -> Server:
    return Server()


async def test_until_then_everything_passes(server: Server) -> None:
    assert [await server.status(path) for path in ("/ready", "/v1/models")] == [200, 200]
    assert not server.draining.is_over


async def test_first_it_only_says_that_it_is_not_ready(server: Server) -> None:
    server.draining.begin()
    assert await server.status("/ready") == 503
    assert await server.status("/v1/models") == 200
    assert not server.draining.is_over


async def test_then_it_takes_on_nothing_new_but_goes_on_calling_itself(server: Server) -> None:
    server.draining.begin()
    server.now_s += NOTICED_S + 0.1
    refused = await server.http.get("/v1/models")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert "another one answers" in refused.json()["detail"]
    assert await server.status("/threads", **{"X-Api-Key": KEY}) == 200
    assert await server.status("/live") == 200


async def test_it_stops_when_the_last_answer_is_out(server: Server) -> None:
    asked = asyncio.create_task(server.status("/slow"))
    await server.is_asked.wait()
    server.draining.begin()
    server.now_s += NOTICED_S + 0.1
    assert not server.draining.is_over
    server.may_go.set()
    assert await asked == 200
    assert server.draining.is_over


async def test_it_does_not_wait_for_ever(server: Server) -> None:
    asked = asyncio.create_task(server.status("/slow"))
    await server.is_asked.wait()
    server.draining.begin()
    server.now_s += LONGEST_S + 0.1
    assert server.draining.is_over
    server.may_go.set()
    await asked
