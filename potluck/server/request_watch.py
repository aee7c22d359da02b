"""Requests that do work are each the root of their trace, or stand in their client's."""

import re

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Span, SpanKind
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potluck import telemetry
from potluck.server.request_count import NO_ANSWER, door_of
from potluck.server.request_ids import current_id

OWN_SPANS = TelemetryConfig(tracing=False, metrics=False, logs=False)
"""For every FastAPI here: its own spans are many, and leave the trace that they stand in."""
_TRACED = frozenset({"openai", "langserve", "langgraph"})
# Whatever else stands in a path is an id
_WORD = re.compile(r"[a-z_]{1,20}|v1")
_ERROR = 500


class RequestWatch:
    """ASGI middleware: makes a span of a request that does work."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and see how it ends."""
        if (
            scope["type"] != "http"
            or door_of(scope["path"]) not in _TRACED
            or not telemetry.is_on()
        ):
            await self.app(scope, receive, send)
            return
        span = _begin(scope)
        status = NO_ANSWER

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with telemetry.ended(span), telemetry.current(span):
            try:
                await self.app(scope, receive, seen)
            except Exception:
                status = _ERROR if status == NO_ANSWER else status
                raise
            finally:
                _tell(span, status)


def route_of(path: str) -> str:
    """The path with `*` for each id in it."""
    return "/".join(part if not part or _WORD.fullmatch(part) else "*" for part in path.split("/"))


def _begin(scope: Scope) -> Span:
    method, route = scope["method"], route_of(scope["path"])
    attributes: dict[str, telemetry.Value] = {
        "http.request.method": method,
        "http.route": route,
        "url.path": scope["path"],
        "potluck.door": door_of(scope["path"]),
        telemetry.REQUEST_ID: current_id(),
    }
    parent = telemetry.carried_by(dict(Headers(scope=scope)))
    return telemetry.begin(f"{method} {route}", attributes, kind=SpanKind.SERVER, parent=parent)


def _tell(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= _ERROR:
        telemetry.fail(span, str(status))
