"""A server that is to stop says so first, ends what it was asked, and takes on nothing new."""

import secrets
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from potluck.server.refusal import refusal

# Balancers that look every two seconds have noticed by then; what they still send is answered
NOTICED_S = 5.0
# Answers that take longer are cut: their runs go on elsewhere
LONGEST_S = 25.0
DETAIL = "This server is stopping. Ask again: another one answers."
_READY, _LIVE = "/ready", "/live"


class Draining:
    """ASGI middleware in front of everything; `begin` is called once, when the server is to stop.

    The server calls itself with `internal_key`, and such calls are let through to the end.
    """

    def __init__(
        self, app: ASGIApp, internal_key: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._internal_key = internal_key
        self._clock = clock
        self._begun_s: float | None = None
        self._asked = 0

    @property
    def has_begun(self) -> bool:
        """Whether the server is to stop."""
        return self._begun_s is not None

    @property
    def is_over(self) -> bool:
        """Whether the server may stop now."""
        spent_s = self._spent_s
        return spent_s > LONGEST_S or (spent_s > NOTICED_S and not self._asked)

    def begin(self) -> None:
        """Say from now on that this server is not ready."""
        self._begun_s = self._clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 in the place of what is not to be begun, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._is_refused(scope):
            headers = {"Retry-After": "1", "Connection": "close"}
            await refusal(503, DETAIL, headers)(scope, receive, send)
            return
        self._asked += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._asked -= 1

    @property
    def _spent_s(self) -> float:
        return self._clock() - self._begun_s if self._begun_s is not None else 0.0

    def _is_refused(self, scope: Scope) -> bool:
        if not self.has_begun:
            return False
        if scope["path"] == _READY:
            return True
        key = Headers(scope=scope).get("x-api-key", "")
        is_own = secrets.compare_digest(key.encode(), self._internal_key.encode())
        return self._spent_s > NOTICED_S and not is_own and scope["path"] != _LIVE
