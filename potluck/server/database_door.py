"""What cannot be done without the database is refused at once while it is out."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from potluck.server.pulse import database_is_there
from potluck.server.refusal import refusal

RETRY_AFTER_S = 5
DETAIL = (
    "The database does not answer, and threads, runs and the usage report are kept in it. Check "
    "that PostgreSQL runs and can be reached (DATABASE_URL), then try again. Calls to `auto` or to "
    "a model by its name at /v1 go on without it."
)
# A request that has no answer after this may have come just before the database went away
GRACE_S = 1.0
_NEEDS_IT = re.compile(r"/(threads|runs|assistants|store|crons|quota|health|ready)(/|$)")

logger = structlog.get_logger(__name__)


def unavailable() -> Response:
    """503, in the form of the LangGraph API and of our own routes."""
    return refusal(503, DETAIL, {"Retry-After": str(RETRY_AFTER_S)})


class DatabaseDoor:
    """ASGI middleware: answers 503 in the place of what needs the database, while it is out.

    Once an answer has begun it is left alone: a run under way goes on when the database is back.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_there: Callable[[], Awaitable[bool]] = database_is_there,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._app = app
        self._is_there = is_there
        self._grace_s = grace_s
        self._given_up: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] != "http" or _NEEDS_IT.match(scope["path"]) is None:
            await self._app(scope, receive, send)
            return
        if not await self._is_there():
            await unavailable()(scope, receive, send)
            return
        answer = _Answer(send)
        task = asyncio.ensure_future(self._app(scope, receive, answer.send))
        try:
            await answer.begun(task, self._grace_s)
            if not answer.has_begun and not task.done() and not await self._is_there():
                # Whatever it waits for may hang: the caller is not to wait for it, too
                self._give_up(task)
                if answer.close():
                    await unavailable()(scope, receive, send)
                return
            await task
        except asyncio.CancelledError:
            self._give_up(task)
            raise

    def _give_up(self, task: "asyncio.Task[None]") -> None:
        self._given_up.add(task)
        task.add_done_callback(self._ended)
        task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._given_up.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("a request that was given up failed", error=repr(error))


class _Answer:
    """The answer to one request, as far as it is out; once closed nothing more goes out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_closed = False
        self._began = asyncio.Event()

    @property
    def has_begun(self) -> bool:
        """Whether anything of it is out."""
        return self._began.is_set()

    async def send(self, message: Message) -> None:
        """Send a part."""
        if not self._is_closed:
            self._began.set()
            await self._send(message)

    def close(self) -> bool:
        """Let nothing more out; whether nothing is out yet."""
        self._is_closed = not self.has_begun
        return self._is_closed

    async def begun(self, task: "asyncio.Task[None]", longest_s: float) -> None:
        """Return when it has begun, when the task has ended, or after so long."""
        beginning = asyncio.ensure_future(self._began.wait())
        try:
            await asyncio.wait(
                {task, beginning}, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            beginning.cancel()
