"""What stands behind the page in its tests: the real page and guard, and reports as set."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from potluck.quota.hours_report import HoursReport
from potluck.quota.report_form import QuotaReport
from potluck.server.auth_keys import Keyring
from potluck.server.dashboard import door
from potluck.server.entity_tags import tagged
from potluck.server.guard import Guard
from potluck.server.refusal import refusal
from potluck.settings import Settings
from tests.dashboard.reports import hours_report, quota_report

KEY = "secret-of-ann"
METRICS_KEY = "secret-of-a-counter"


@dataclass
class Stage:
    """A server with the dashboard; `parked` runs leave the report when they are acted upon."""

    url: str = ""
    report: Callable[[], QuotaReport] = quota_report
    hours: Callable[[], HoursReport] = hours_report
    failure: Response | None = None
    with_key: bool = False
    gone: set[str] = field(default_factory=set)
    log: list[tuple[str, str, int]] = field(default_factory=list)

    def reset(self) -> None:
        self.report, self.hours = quota_report, hours_report
        self.failure, self.with_key = None, False
        self.gone.clear()
        self.log.clear()

    def asked(self, path: str) -> list[int]:
        """The status of each answer at this path."""
        return [status for _, asked, status in self.log if asked == path]

    def app(self) -> FastAPI:
        app = FastAPI()
        door.mount(app)

        @app.get("/quota")
        async def quota(request: Request) -> Response:
            told = self.report()
            left = tuple(run for run in told.parked if run.thread_id not in self.gone)
            return self.failure or tagged(
                request, told.model_copy(update={"parked": left}), apart_from={"at"}
            )

        @app.get("/quota/hours")
        async def hours(request: Request) -> Response:
            return self.failure or tagged(request, self.hours(), apart_from={"at"})

        @app.post("/quota/parked/{thread_id}/resume")
        async def resume(thread_id: str) -> dict[str, str]:
            self.gone.add(thread_id)
            return {"thread_id": thread_id, "status": "resumed"}

        @app.delete("/quota/parked/{thread_id}")
        async def cancel(thread_id: str) -> Response:
            if thread_id == "busy":
                return refusal(409, "Thread 'busy' is just going on by itself.")
            self.gone.add(thread_id)
            return Response('{"status": "cancelled"}', media_type="application/json")

        return app

    def guarded(self) -> Callable[[Scope, Receive, Send], object]:
        app = self.app()
        keyless = _guard(app)
        keyed = _guard(app, f"ann:{KEY}", f"counter:{METRICS_KEY}:metrics")

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def noted(message: object) -> None:
                if isinstance(message, dict) and message["type"] == "http.response.start":
                    self.log.append((scope["method"], scope["path"], message["status"]))
                await send(message)  # type: ignore[arg-type] # passed on as it came

            guard = keyed if self.with_key else keyless
            await (
                guard(scope, receive, noted)
                if scope["type"] == "http"
                else app(scope, receive, send)
            )

        return serve


def _guard(app: FastAPI, *keys: str) -> Guard:
    settings = Settings(potluck_api_keys=tuple(map(SecretStr, keys)))
    return Guard(app, keyring=Keyring.of(settings, "inner"))


@contextmanager
def standing() -> Iterator[Stage]:
    """A stage that answers on loopback."""
    stage = Stage()
    config = uvicorn.Config(stage.guarded(), port=0, log_level="error", lifespan="off")  # type: ignore[arg-type] # an ASGI app
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    stage.url = f"http://127.0.0.1:{port}"
    yield stage
    server.should_exit = True
    thread.join(10)
