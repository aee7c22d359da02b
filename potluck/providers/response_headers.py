"""The headers of providers' responses, which most vendors' classes keep to themselves."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakSet

_MAX_RESPONSES = 8


@dataclass(frozen=True, slots=True)
class SeenResponse:
    """One response of a provider: its status and its headers, names in lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(slots=True)
class SeenResponses:
    """What a call's responses said; a retried or redirected call has several.

    `on_sent` is called each time that a whole request is on its way. `was_open` tells whether the
    last one went over a connection that was there before.
    """

    responses: list[SeenResponse] = field(default_factory=list)
    on_sent: Callable[[], None] | None = None
    was_open: bool = False

    @property
    def headers(self) -> Mapping[str, str]:
        """The last response's headers; empty when there was none."""
        return self.responses[-1].headers if self.responses else {}

    @property
    def status(self) -> int | None:
        """The last response's status."""
        return self.responses[-1].status if self.responses else None

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Keep one more response, unless a provider sends us in circles."""
        if len(self.responses) < _MAX_RESPONSES:
            lowered = {str(name).lower(): str(value) for name, value in headers.items()}
            self.responses.append(SeenResponse(status, lowered))


class Response(Protocol):
    """What httpx's and httpx2's responses have in common."""

    @property
    def status_code(self) -> int: ...  # noqa: D102 - httpx's name
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102 - httpx's name


_current: ContextVar[SeenResponses | None] = ContextVar("potluck_seen_responses", default=None)


@contextmanager
def captured_headers(seen: SeenResponses | None = None) -> Iterator[SeenResponses]:
    """Collect the headers of each response that comes while the block runs, also in its tasks.

    An async generator that yields inside the block lends it to whoever drives it: give each step
    a block of its own, all with the same `seen`.
    """
    collected = seen if seen is not None else SeenResponses()
    before = _current.get()
    _current.set(collected)
    try:
        yield collected
    finally:
        # Not by token: a generator may be closed in another context than it was started in
        if _current.get() is collected:
            _current.set(before)


def note_response(response: Response) -> None:
    """Hand the response's headers to the call that runs in this context, if one collects them."""
    seen = _current.get()
    if seen is not None:
        seen.note(response.status_code, response.headers)


async def note_response_async(response: Response) -> None:
    """`note_response` in the form of an asynchronous client's event hook."""
    note_response(response)


class Request(Protocol):
    """What httpx's and httpx2's requests have in common."""

    @property
    def extensions(self) -> MutableMapping[str, Any]: ...  # noqa: D102 - httpx's name; Any: its own


async def watch_request_async(request: Request) -> None:
    """Have the call that runs in this context told when the request is sent; an event hook.

    The hook itself runs before there is a connection, for which a call may have to wait.
    """
    seen = _current.get()
    if seen is None:
        return
    seen.was_open = True

    async def trace(name: str, _: Mapping[str, object]) -> None:
        if ".connect_" in name:
            seen.was_open = False
        elif name.endswith("send_request_body.complete") and seen.on_sent is not None:
            seen.on_sent()

    request.extensions["trace"] = trace


def response_hooks() -> Mapping[str, list[Callable[..., Awaitable[None]]]]:
    """The `event_hooks` of an asynchronous httpx or httpx2 client whose headers are collected."""
    return {"request": [watch_request_async], "response": [note_response_async]}


class AiohttpResponse(Protocol):
    """What is read of an aiohttp response."""

    @property
    def status(self) -> int: ...  # noqa: D102 - aiohttp's name
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102 - aiohttp's name


class AiohttpConnection(Protocol):
    """What is read of an aiohttp connection: its protocol is the same each time it is used."""

    @property
    def protocol(self) -> object: ...  # noqa: D102 - aiohttp's name


_used_before: WeakSet[object] = WeakSet()


class AiohttpRequest(Protocol):
    """What is done with aiohttp's requests; it sends them once they have a connection."""

    send: Callable[..., Awaitable[object]]


async def note_aiohttp[Answer: AiohttpResponse](
    request: AiohttpRequest, send: Callable[[AiohttpRequest], Awaitable[Answer]]
) -> Answer:
    """`note_response`, `on_sent` and `was_open` in the form of an aiohttp client's middleware."""
    seen = _current.get()
    if seen is None:
        return await send(request)
    send_on = request.send

    async def watched(connection: AiohttpConnection) -> object:
        seen.was_open = connection.protocol in _used_before
        _used_before.add(connection.protocol)
        response = await send_on(connection)
        if seen.on_sent is not None:
            seen.on_sent()
        return response

    request.send = watched
    response = await send(request)
    seen.note(response.status, response.headers)
    return response
