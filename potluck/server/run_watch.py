"""Runs of the agent, from the moment this process begins one: counted, in a span, in the log."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import redis
import structlog
from aegra_api.core.database import db_manager
from aegra_api.core.redis_manager import redis_manager
from aegra_api.models.run_job import RunJob
from aegra_api.services import run_executor
from aegra_api.services.executor import executor
from aegra_api.settings import settings
from opentelemetry import context
from opentelemetry.trace import Span, set_span_in_context

from potluck import telemetry
from potluck.server.metrics import Metrics
from potluck.server.request_ids import current_id

HANDED_OVER = "handed_over"
"""It went on elsewhere: this server stops, or has lost its lease."""
CARRIED_FOR_S = 86_400
REDIS_TIMEOUT_S = 1.0

logger = structlog.get_logger("potluck.runs")


@dataclass(slots=True)
class _Run:
    span: Span
    began_s: float
    status: str = HANDED_OVER


class RunWatch:
    """Knows the runs that are under way here."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._runs: dict[str, _Run] = {}

    def begin(self, run_id: str, parent: context.Context | None = None) -> None:
        """The current task begins to execute this run; its span is current in it from now on."""
        task = asyncio.current_task()
        if task is None or run_id in self._runs:
            return
        told = structlog.contextvars.get_contextvars()
        graph_id = str(told.get("graph_id", "agent"))
        attributes: dict[str, telemetry.Value] = {
            telemetry.OPERATION: "invoke_agent",
            telemetry.AGENT: graph_id,
            telemetry.CONVERSATION: str(told.get("thread_id", "")),
            telemetry.RUN_ID: run_id,
            telemetry.REQUEST_ID: current_id(),
        }
        span = telemetry.begin(f"invoke_agent {graph_id}", attributes, parent=parent)
        # Never detached: the context is this task's own and ends with it
        context.attach(set_span_in_context(span))
        self._runs[run_id] = _Run(span, monotonic())
        self._metrics.runs_now.inc()
        logger.info("run begins", run_id=run_id)
        task.add_done_callback(lambda _: self._end(run_id))

    def finish(self, run_id: str, status: str, thread_status: str) -> None:
        """The run's end was written down."""
        run = self._runs.get(run_id)
        if run is not None:
            # Aegra calls a run that was cancelled interrupted, too; only its thread is idle then
            cancelled = status == "interrupted" and thread_status == "idle"
            run.status = "cancelled" if cancelled else status

    def _end(self, run_id: str) -> None:
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        took_s = monotonic() - run.began_s
        self._metrics.runs_now.dec()
        self._metrics.note_run(run.status, took_s)
        run.span.set_attribute("potluck.status", run.status)
        if run.status == "error":
            telemetry.fail(run.span, "run_failed")
        run.span.end()
        logger.info("run ends", run_id=run_id, status=run.status, duration_s=round(took_s, 3))


def keep_values_out_of_errors() -> None:
    """Have errors of Aegra's database tell the statement, and not what was to be stored with it.

    They are logged, and what is stored of a run is what somebody said.
    """
    if db_manager.engine is not None:
        db_manager.engine.sync_engine.hide_parameters = True


@contextmanager
def runs_watched(metrics: Metrics, *, with_redis: bool) -> Iterator[None]:
    """Inside the block, whatever run Aegra executes in this process is watched."""
    watch = RunWatch(metrics)
    start_run, finalize_run, submit = (
        run_executor.start_run,
        run_executor.finalize_run,
        executor.submit,
    )

    async def start(run_id: str, *, user_id: str) -> bool:
        started: bool = await start_run(run_id, user_id=user_id)
        if started:
            parent = await _parent_of(run_id) if with_redis and telemetry.is_on() else None
            watch.begin(run_id, parent)
        return started

    run_executor.start_run = start
    run_executor.finalize_run = _told(finalize_run, watch)
    if with_redis:
        executor.submit = _carrying(submit)
    try:
        yield
    finally:
        run_executor.start_run, run_executor.finalize_run = start_run, finalize_run
        executor.submit = submit


# ...: Aegra's function, most of whose arguments are none of ours
_Finalize = Callable[..., Awaitable[bool]]


def _told(finalize: _Finalize, watch: RunWatch) -> _Finalize:
    async def finalized(run_id: str, thread_id: str, **how: object) -> bool:
        done = await finalize(run_id, thread_id, **how)
        if done:
            watch.finish(run_id, str(how.get("status")), str(how.get("thread_status")))
        return done

    return finalized


def _carrying(submit: Callable[[RunJob], Awaitable[None]]) -> Callable[[RunJob], Awaitable[None]]:
    """Leave word in Redis of the span that asks: another replica may execute the run."""

    async def submitted(job: RunJob) -> None:
        parent = telemetry.carried().get("traceparent")
        if parent is not None:
            try:
                async with asyncio.timeout(REDIS_TIMEOUT_S):
                    await redis_manager.get_client().set(
                        _key(job.identity.run_id), parent, ex=CARRIED_FOR_S
                    )
            except (redis.RedisError, OSError):
                # A TimeoutError is an OSError; the run's trace begins with the run then
                logger.debug("trace not carried", run_id=job.identity.run_id)
        await submit(job)

    return submitted


async def _parent_of(run_id: str) -> context.Context | None:
    try:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            found = await redis_manager.get_client().get(_key(run_id))
    except (redis.RedisError, OSError):
        return None
    if found is None:
        return None
    written = found.decode() if isinstance(found, bytes) else str(found)
    return telemetry.carried_by({"traceparent": written})


def _key(run_id: str) -> str:
    return f"{settings.redis.REDIS_CHANNEL_PREFIX}trace:{run_id}"
