"""The log of every request the simulator got and what it answered."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal

from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest

Outcome = Literal["open", "answered", "refused", "cut", "client_gone"]

_SECRET_HEADERS = frozenset({"authorization", "x-goog-api-key", "api-key", "x-api-key"})


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its answer; `request` is None when it made no sense to the provider.

    `outcome` is `open` while the answer is under way; `chunks` counts what was streamed.
    """

    at: datetime
    provider: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    request: ModelRequest | None = None
    reply: Reply | None = None
    status: int | None = None
    error: str | None = None
    chunks: int = 0
    outcome: Outcome = "open"
    answer_headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """This exchange for the HTTP log, keys masked."""
        request = _public(self.request) if self.request is not None else None
        return {
            "at": self.at.isoformat(),
            "provider": self.provider,
            "method": self.method,
            "path": self.path,
            "headers": {name: _masked(name, value) for name, value in self.headers.items()},
            "body": self.body.decode(errors="replace"),
            "request": request,
            "reply": asdict(self.reply) if self.reply is not None else None,
            "status": self.status,
            "error": self.error,
            "chunks": self.chunks,
            "outcome": self.outcome,
            "answer_headers": dict(self.answer_headers),
        }


class RequestLog:
    """The last exchanges, oldest first; safe to read from another thread."""

    def __init__(self, *, keep: int = 10_000) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=keep)
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.exchanges())

    def __getitem__(self, index: int) -> Exchange:
        return self.exchanges()[index]

    def add(self, exchange: Exchange) -> None:
        """Take in a request, before it is answered."""
        with self._changed:
            self._exchanges.append(exchange)
            self._changed.notify_all()

    def exchanges(self, provider: str | None = None) -> list[Exchange]:
        """All exchanges, or those with one provider."""
        with self._changed:
            found = list(self._exchanges)
        return [one for one in found if provider is None or one.provider == provider]

    def requests(self, provider: str | None = None) -> list[ModelRequest]:
        """What models were asked, without lists of models and refused nonsense."""
        return [one.request for one in self.exchanges(provider) if one.request is not None]

    @property
    def last(self) -> Exchange:
        """The latest exchange. Raises IndexError when there is none."""
        return self[-1]

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._exchanges.clear()

    def wait_for(self, count: int, *, timeout_s: float = 5.0) -> bool:
        """Block until there are this many exchanges; False if the time ran out."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(
                lambda: len(self._exchanges) >= count, max(0.0, deadline - time.monotonic())
            )


def _public(request: ModelRequest) -> dict[str, object]:
    shown = asdict(request)
    del shown["body"], shown["headers"]
    shown["key"] = _mask(request.key) if request.key else None
    return shown


def _masked(name: str, value: str) -> str:
    return _mask(value) if name in _SECRET_HEADERS else value


def _mask(secret: str) -> str:
    return f"{secret[:10]}..." if len(secret) > 14 else "..."
