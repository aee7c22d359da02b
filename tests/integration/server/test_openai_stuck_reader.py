"""A client that stops reading holds neither work nor memory, nor its connection for ever."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from fastapi import FastAPI

from potluck.server import serve
from potluck.server.openai.stream import EventStream, KeptAlive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

EVENT = b"data: " + b"x" * 32_768 + b"\n\n"
PATIENCE_S = 0.5
# What the two ends of a connection keep for each other, and what runs ahead of the reader
MOST_MADE_BYTES = 32 * 1024 * 1024


@dataclass
class Source:
    """Events without an end."""

    made: int = 0
    is_closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def events(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                self.made += 1
                yield EVENT
        finally:
            self.is_closed.set()


@dataclass
class Door:
    """A server that streams its source to whoever asks."""

    source: Source
    server: uvicorn.Server
    address: tuple[str, int]

    async def is_without_connections(self) -> None:
        while self.server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.05)


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    monkeypatch.setattr(serve, "READER_TIMEOUT_S", 2)
    source = Source()
    app = FastAPI()

    @app.get("/")
    async def stream() -> EventStream:
        events = KeptAlive(source.events(), patience_s=PATIENCE_S)
        await events.start()
        return EventStream(events, {})

    with contextlib.closing(serve._listen("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        yield Door(source, server, listener.getsockname())
        server.should_exit = server.force_exit = True
        await running


@pytest.fixture
async def stuck(door: Door) -> AsyncIterator[socket.socket]:
    """A client that has asked, and reads nothing."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, door.address)
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        yield client


async def test_its_work_ends_within_the_patience(door: Door, stuck: socket.socket) -> None:
    async with asyncio.timeout(PATIENCE_S + 10):
        await door.source.is_closed.wait()
    assert door.source.made * len(EVENT) < MOST_MADE_BYTES


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT"
)
async def test_its_connection_is_cut(door: Door, stuck: socket.socket) -> None:
    async with asyncio.timeout(PATIENCE_S + 20):
        await door.source.is_closed.wait()
        await door.is_without_connections()
