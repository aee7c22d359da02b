"""Streams that stay alive while nothing happens and end when their reader leaves."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

KEEP_ALIVE = b": keep-alive\n\n"
BEAT_S = 12.0
# How far the work may run ahead of a slow reader, in events.
AHEAD = 256
# How long a reader may take nothing at all before its work is ended.
PATIENCE_S = 60.0
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class ClientGoneError(Exception):
    """The client has closed its connection."""


async def finish_for[Result](request: Request, work: Awaitable[Result]) -> Result:
    """Await the work; cancel it and raise ClientGoneError when the client leaves before."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_leave(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        await _end(working)
        await _end(leaving)


async def _leave(request: Request) -> None:
    # Bounded by the work beside it, which has its own time limits.
    while (await request.receive())["type"] != "http.disconnect":
        pass


class KeptAlive:
    """A byte stream with a comment in it whenever it is silent for `beat_s`.

    The source runs in one task of its own, up to `AHEAD` events before its reader, and is closed
    when the reader stops, or takes nothing for `patience_s`. What has come together goes out
    together. Open it with `start`; after that either iterate or `aclose`.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes],
        *,
        beat_s: float = BEAT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._source = source
        self._beat_s = beat_s
        self._patience_s = patience_s
        self._events: list[bytes] = []
        self._is_over = False
        self._has_news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._first: bytes | None = None

    async def start(self) -> None:
        """Wait for the first event or the first beat. Raises what the source raises before it."""
        self._task = asyncio.create_task(self._run())
        try:
            self._first = await self._next()
        except BaseException:
            await self.aclose()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Every event; closes the source when left early."""
        try:
            events = self._first
            while events is not None:
                yield events
                events = await self._next()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop the source and wait until it has cleaned up."""
        if self._task is not None:
            await _end(self._task)

    async def _run(self) -> None:
        try:
            async with aclosing(self._source) as events:
                async for event in events:
                    if len(self._events) >= AHEAD and not await self._find_room():
                        return
                    self._events.append(event)
                    self._has_news.set()
        finally:
            self._is_over = True
            self._has_news.set()

    async def _find_room(self) -> bool:
        """Whether the reader took something in time."""
        self._has_room.clear()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._has_room.wait()
        except TimeoutError:
            return False
        return True

    async def _next(self) -> bytes | None:
        """What has come, or a comment after a beat, or None at the end."""
        if not self._events and not self._is_over:
            self._has_news.clear()
            try:
                async with asyncio.timeout(self._beat_s):
                    await self._has_news.wait()
            except TimeoutError:
                return KEEP_ALIVE
        if self._events:
            come, self._events = b"".join(self._events), []
            self._has_room.set()
            return come
        if self._task is not None:
            # Its last act was to say so; nothing is left to wait for.
            await asyncio.wait((self._task,))
            self._task.result()
        return None


class EventStream(StreamingResponse):
    """Sends a started stream, and ends its work however the sending ends."""

    def __init__(self, events: KeptAlive, headers: Mapping[str, str]) -> None:
        super().__init__(events, headers={**HEADERS, **headers}, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


# Any: the results of these tasks are of no concern here
_ending: set[asyncio.Future[Any]] = set()


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel the task if it still runs, and wait until it has cleaned up.

    It cleans up even if whoever waits here is cancelled too.
    """
    if task.done():
        return
    _ending.add(task)
    task.add_done_callback(_forget)
    task.cancel()
    await asyncio.wait((task,))


def _forget(task: asyncio.Future[Any]) -> None:
    _ending.discard(task)
    if not task.cancelled():
        # Looked at, so that asyncio does not report it as lost.
        task.exception()
