"""The FastAPI app with our doors, mounted by the server beside the LangGraph API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from potluck import engine
from potluck.sandbox.pool import Sandboxes
from potluck.server import (
    langserve_door,
    loopback,
    metrics_door,
    openai,
    parked_door,
    pulse,
    quota_door,
)
from potluck.server.address import served
from potluck.server.auth_keys import Keyring
from potluck.server.dashboard import door as dashboard_door
from potluck.server.database_door import DatabaseDoor
from potluck.server.guard_elsewhere import GuardElsewhere
from potluck.server.langgraph_door import LangGraphDoor
from potluck.server.metrics import Metrics
from potluck.server.page_headers import PageHeaders
from potluck.server.request_count import RequestCount
from potluck.server.request_watch import OWN_SPANS, RequestWatch
from potluck.server.resumption import parked_runs_resumed
from potluck.server.retention_task import old_things_swept
from potluck.server.watching import all_watched, count_sandbox


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Build the engine before the first request, take up what was left; close in order."""
    used = await engine.current()
    try:
        async with (
            all_watched(used, app.state.metrics),
            _runs_kept() if served() else nullcontext(),
            parked_runs_resumed(used),
            old_things_swept(used),
        ):
            count_sandbox(used, app.state.metrics)
            yield
    finally:
        await loopback.close()
        await pulse.close()
        await used.aclose()


@asynccontextmanager
async def _runs_kept() -> AsyncIterator[None]:
    """Under `potluck serve`: runs keep their order, and outlive this process."""
    from potluck.server import (  # noqa: PLC0415 - only now
        context_schema,
        cron_owners,
        kept_streams,
        outlasting,
        recovery,
        run_order,
        thread_files,
        thread_history,
    )

    used = await engine.current()
    # First: it puts another checkpointer in place, which the next one then changes.
    outlasting.outlast_outages()
    thread_files.delete_with_threads(used.home, used.runner)
    thread_history.search_by_metadata()
    context_schema.remember_context_schemas()
    cron_owners.end_with_their_users(Keyring.of(used.settings))
    if isinstance(used.runner, Sandboxes):
        used.runner.warm_up()
    if used.settings.redis_url is None:
        run_order.order_runs()
        kept_streams.keep_in_bounds()
        await recovery.take_up()
    try:
        yield
    finally:
        recovery.hand_over()


def create_app() -> FastAPI:
    """Our doors: OpenAI under /v1, LangServe under /agent, quota under /quota, /dashboard."""
    made = FastAPIOffline(title="Potluck", lifespan=lifespan, telemetry=OWN_SPANS, redoc_url=None)
    made.state.metrics = Metrics()
    made.add_middleware(DatabaseDoor)
    made.add_middleware(LangGraphDoor)
    made.add_middleware(RequestWatch)
    # Last, so that they stand before all others
    made.add_middleware(GuardElsewhere)
    made.add_middleware(PageHeaders)
    made.add_middleware(RequestCount, metrics=made.state.metrics)
    openai.mount(made)
    langserve_door.mount(made)
    parked_door.mount(made)
    quota_door.mount(made)
    metrics_door.mount(made, made.state.metrics)
    dashboard_door.mount(made)
    return made


app = create_app()
