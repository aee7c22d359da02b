"""The headers of providers' responses, which most vendors' classes keep to themselves."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

_MAX_RESPONSES = 8


@dataclass(frozen=True, slots=True)
class SeenResponse:
    """One response of a provider: its status and its headers, names in lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(slots=True)
class SeenResponses:
    """What a call's responses said; a retried or redirected call has several."""

    responses: list[SeenResponse] = field(default_factory=list)

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


def response_hooks() -> Mapping[str, list[Callable[[Response], Awaitable[None]]]]:
    """The `event_hooks` of an asynchronous httpx or httpx2 client whose headers are collected."""
    return {"response": [note_response_async]}


class AiohttpResponse(Protocol):
    """What is read of an aiohttp response."""

    @property
    def status(self) -> int: ...  # noqa: D102 - aiohttp's name
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102 - aiohttp's name


async def note_aiohttp[Request, Answer: AiohttpResponse](
    request: Request, send: Callable[[Request], Awaitable[Answer]]
) -> Answer:
    """`note_response` in the form of an aiohttp client's middleware."""
    response = await send(request)
    seen = _current.get()
    if seen is not None:
        seen.note(response.status, response.headers)
    return response
