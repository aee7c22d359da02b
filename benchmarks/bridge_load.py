"""Clients of an OpenAI-compatible server, in a process of their own.

Started with a `Load` as JSON; prints what they saw, as JSON. The HTTP client is a bare one, so
that many clients cost little beside the servers that they measure.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

KEY = "sk-benchmark-of-the-bridge-0123456789"
_DONE = b"data: [DONE]"
_ROLE = b'"content":""'
_TEXT = b'"content":"'


@dataclass(frozen=True, slots=True)
class Load:
    """So many clients that ask one after the other, until `count` questions are asked.

    No two questions are the same: a cache must not answer. `ramp_s` spreads the clients' starts.
    """

    url: str
    model: str
    clients: int
    count: int
    stream: bool = False
    warm_up: int = 8
    ramp_s: float = 0.0
    timeout_s: float = 60.0
    question: str = "Tell me about the harbour of Genoa."
    name: str = ""


@dataclass(slots=True)
class Seen:
    """What all clients saw together: times in milliseconds, one for each answer."""

    took_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    pieces: int = 0
    failures: list[str] = field(default_factory=list)
    lasted_s: float = 0.0


class Exchange(asyncio.Protocol):
    """One connection, which carries one question at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._ended: asyncio.Future[None] | None = None
        self._asked_s = 0.0
        self.first_ms: float | None = None
        self.body = bytearray()
        self.closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for an answer gets none."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(exc or ConnectionResetError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """Read on."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._ended is not None and not self._ended.done():
                self._ended.set_exception(error)

    def on_body(self, body: bytes) -> None:
        """The parser found a part of the answer."""
        if self.first_ms is None and _begins(body):
            self.first_ms = (time.perf_counter() - self._asked_s) * 1000
        self.body += body

    def on_message_complete(self) -> None:
        """The parser found the end of the answer."""
        self.closes = not self._parser.should_keep_alive()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def ask(self, request: bytes) -> tuple[int, float]:
        """The status of the answer, and after how many milliseconds it was whole."""
        assert self._transport is not None
        self._ended = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.first_ms = None
        self.body = bytearray()
        self._asked_s = time.perf_counter()
        self._transport.write(request)
        await self._ended
        took_ms = (time.perf_counter() - self._asked_s) * 1000
        return self._parser.get_status_code(), took_ms

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def _begins(body: bytes) -> bool:
    """Whether some of the answer's own text is in it, and not the role alone."""
    tight = body.replace(b'": "', b'":"')
    return _TEXT in tight.replace(_ROLE, b"")


class Client:
    """Asks one question after the other, over one connection while the server keeps it open."""

    def __init__(self, load: Load) -> None:
        self._load = load
        parts = urlsplit(load.url)
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path
        self._exchange: Exchange | None = None

    async def ask(self, number: int | str, seen: Seen) -> None:
        """Ask, and write down what came of it."""
        try:
            async with asyncio.timeout(self._load.timeout_s):
                exchange = await self._connected()
                status, took_ms = await exchange.ask(self._request(number))
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            seen.failures.append(repr(error))
            self.close()
            return
        failure = self._failure(status, exchange)
        if failure:
            seen.failures.append(failure)
        else:
            seen.took_ms.append(took_ms)
            seen.first_ms.append(took_ms if exchange.first_ms is None else exchange.first_ms)
            seen.pieces += exchange.body.count(b"data: ") or 1
        if exchange.closes:
            self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    async def _connected(self) -> Exchange:
        if self._exchange is None:
            loop = asyncio.get_running_loop()
            _, self._exchange = await loop.create_connection(Exchange, self._host, self._port)
        return self._exchange

    def _failure(self, status: int, exchange: Exchange) -> str:
        body = bytes(exchange.body)
        if status != 200:
            return f"{status}: {body[:300].decode(errors='replace')}"
        if self._load.stream and (_DONE not in body or b'"error":{' in body):
            return f"broken stream: {body[-300:].decode(errors='replace')}"
        if self._load.stream and exchange.first_ms is None:
            return f"empty stream: {body[-300:].decode(errors='replace')}"
        return ""

    def _request(self, number: int | str) -> bytes:
        asked = f"{self._load.question} ({self._load.name} {number})"
        body = {"model": self._load.model, "messages": [{"role": "user", "content": asked}]}
        if self._load.stream:
            body["stream"] = True
        content = json.dumps(body).encode()
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content


async def play(load: Load) -> Seen:
    """Ask all questions."""
    seen, numbers = Seen(), iter(range(load.count))
    warming = Client(load)
    for number in range(load.warm_up):
        await warming.ask(f"warm-up {number}", Seen())
    warming.close()
    clients = [Client(load) for _ in range(load.clients)]

    async def go(client: Client, place: int) -> None:
        await asyncio.sleep(load.ramp_s * place / load.clients)
        for number in numbers:
            await client.ask(number, seen)
        client.close()

    begun_s = time.perf_counter()
    await asyncio.gather(*(go(client, place) for place, client in enumerate(clients)))
    seen.lasted_s = time.perf_counter() - begun_s
    return seen


def main() -> None:
    """Play the loads that come in, a line of JSON each, and print what was seen of each."""
    for line in sys.stdin:
        seen = asyncio.run(play(Load(**json.loads(line))))
        told = {name: getattr(seen, name) for name in Seen.__slots__}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
