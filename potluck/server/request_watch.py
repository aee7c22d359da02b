"""Requests at our doors: counted by door and status, and each the root of its trace."""

import re
from contextlib import ExitStack

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Span, SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potluck import telemetry
from potluck.server.metrics import Metrics
from potluck.server.request_ids import current_id

OWN_SPANS = TelemetryConfig(tracing=False, metrics=False, logs=False)
"""For every FastAPI here: its own spans are many, and leave the trace that they stand in."""
_DOORS = {
    "v1": "openai",
    "agent": "langserve",
    "chain": "langserve",
    "threads": "langgraph",
    "runs": "langgraph",
    "assistants": "langgraph",
    "store": "langgraph",
    "quota": "quota",
    "dashboard": "dashboard",
    "metrics": "metrics",
    "health": "health",
    "live": "health",
    "ready": "health",
}
_TRACED = frozenset({"openai", "langserve", "langgraph"})
# Whatever else stands in a path is an id
_WORD = re.compile(r"[a-z_]{1,20}|v1")
NO_ANSWER = 499
"""The status of a request whose client left before the answer began."""


class RequestWatch:
    """ASGI middleware: counts every request, and makes a span of those that do work."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and see how it ends."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        door = door_of(scope["path"])
        status = NO_ANSWER
        span: Span | None = None

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with ExitStack() as stack:
            stack.enter_context(self._metrics.requests_now.labels(door).track_inprogress())
            if door in _TRACED and telemetry.is_on():
                span = _begin(scope, door)
                stack.enter_context(telemetry.ended(span))
                stack.enter_context(telemetry.current(span))
            try:
                await self.app(scope, receive, seen)
            except Exception:
                status = 500 if status == NO_ANSWER else status
                raise
            finally:
                self._metrics.requests.labels(door, str(status)).inc()
                if span is not None:
                    _end(span, status)


def door_of(path: str) -> str:
    """The door that a path belongs to; `other` for what is none."""
    return _DOORS.get(path.split("/", 2)[1] if path.startswith("/") else "", "other")


def route_of(path: str) -> str:
    """The path with `*` for each id in it."""
    return "/".join(part if not part or _WORD.fullmatch(part) else "*" for part in path.split("/"))


def _begin(scope: Scope, door: str) -> Span:
    headers = Headers(scope=scope)
    method, route = scope["method"], route_of(scope["path"])
    attributes: dict[str, telemetry.Value] = {
        "http.request.method": method,
        "http.route": route,
        "url.path": scope["path"],
        "potluck.door": door,
        telemetry.REQUEST_ID: current_id(),
    }
    parent = telemetry.carried_by(dict(headers))
    return telemetry.begin(f"{method} {route}", attributes, kind=SpanKind.SERVER, parent=parent)


def _end(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        telemetry.fail(span, str(status))
