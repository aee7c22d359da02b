"""One HTTP exchange over ASGI: reading the body, writing plain or streamed, breaking off."""

import asyncio
from collections.abc import Callable, Mapping

from starlette.types import Receive, Scope, Send

from potluck.simulator.clock import Clock

DROP_STATE = "drop_connection"
BODY_TIMEOUT_S = 30.0
SEND_TIMEOUT_S = 30.0


class ClientGone(Exception):  # noqa: N818 # an event, not an error
    """The client closed the connection."""


class Wire:
    """Reads one request and writes its answer. Raises ClientGone when nobody listens any more."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, clock: Clock) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._clock = clock

    async def body(self) -> bytes:
        """The whole body of the request."""
        parts: list[bytes] = []
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return b"".join(parts)

    async def answer(
        self, status: int, body: bytes, media_type: str, headers: Mapping[str, str]
    ) -> None:
        """Send a whole answer."""
        sized = {"content-length": str(len(body)), **headers}
        await self.open(status, media_type, sized)
        await self._write(body, more=False)

    async def open(self, status: int, media_type: str, headers: Mapping[str, str]) -> None:
        """Send status and headers."""
        pairs = [(b"content-type", media_type.encode())]
        pairs += [(name.encode(), value.encode()) for name, value in headers.items()]
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def chunk(self, body: bytes) -> None:
        """Send one chunk of a stream."""
        await self._write(body, more=True)

    async def close(self, body: bytes = b"") -> None:
        """End a stream properly."""
        await self._write(body, more=False)

    async def pause(self, seconds: float) -> None:
        """Wait so long in the clock's time; not at all when it is nothing."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(self._clock.real_s(seconds)):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return
        raise ClientGone

    async def drop(self) -> None:
        """Tear down the connection without another byte."""
        drop: Callable[[], None] | None = self._scope.get("state", {}).get(DROP_STATE)
        if drop is None:
            raise ConnectionResetError("This server cannot drop connections.")
        drop()
        async with asyncio.timeout(SEND_TIMEOUT_S):
            while (await self._receive())["type"] != "http.disconnect":
                pass

    async def _write(self, body: bytes, *, more: bool) -> None:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
