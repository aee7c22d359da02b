"""Requests by door and status: those that the guard refuses count, too."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potluck.server.metrics import Metrics

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
NO_ANSWER = 499
"""The status of a request whose client left before the answer began."""
_COUNTED = "potluck.counted"


class RequestCount:
    """ASGI middleware: counts every request, once if there are several of it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and see how it ends."""
        if scope["type"] != "http" or _COUNTED in scope:
            await self.app(scope, receive, send)
            return
        scope[_COUNTED] = True
        door = door_of(scope["path"])
        status = NO_ANSWER

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.requests_now.labels(door).track_inprogress():
            try:
                await self.app(scope, receive, seen)
            except Exception:
                status = 500 if status == NO_ANSWER else status
                raise
            finally:
                self._metrics.requests.labels(door, str(status)).inc()


def door_of(path: str) -> str:
    """The door that a path belongs to; `other` for what is none."""
    return _DOORS.get(path.split("/", 2)[1] if path.startswith("/") else "", "other")
