"""Runs that Aegra executes are counted, traced and told, however they end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import structlog
from aegra_api.core.database import db_manager
from aegra_api.services import run_executor
from aegra_api.services.executor import executor
from sqlalchemy.ext.asyncio import create_async_engine

from potluck import telemetry
from potluck.server import run_watch
from potluck.server.metrics import Metrics
from potluck.server.run_watch import keep_values_out_of_errors, runs_watched
from tests.collected import Spans, collected

OWN = {"user_id": "ann"}


@pytest.fixture
def spans() -> Iterator[Spans]:
    with collected() as kept:
        yield kept


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for Aegra's writes: whether they are taken."""
    taken = SimpleNamespace(start=True, finish=True, finished=[])

    async def start_run(run_id: str, *, user_id: str) -> bool:
        return bool(taken.start)

    async def finalize_run(run_id: str, thread_id: str, **how: Any) -> bool:
        taken.finished.append(how)
        return bool(taken.finish)

    monkeypatch.setattr(run_executor, "start_run", start_run)
    monkeypatch.setattr(run_executor, "finalize_run", finalize_run)
    return taken


@pytest.fixture
def watched() -> Iterator[Metrics]:
    metrics = Metrics()
    with runs_watched(metrics, with_redis=False):
        yield metrics


async def execute(status: str = "success", thread_status: str = "idle", **more: Any) -> None:
    """A run as Aegra's executor goes about it."""
    if not await run_executor.start_run("r1", **OWN):
        return
    with telemetry.span("node"):
        await asyncio.sleep(0)
    done = {"status": status, "thread_status": thread_status, **more}
    await run_executor.finalize_run("r1", "t1", **OWN, **done)


async def done(work: Awaitable[None]) -> None:
    """The work in a task of its own, and whoever is told of its end."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task})
    await asyncio.sleep(0)


def ended(metrics: Metrics, status: str) -> float | None:
    return metrics.registry.get_sample_value("potluck_runs_total", {"status": status})


@pytest.mark.parametrize(
    ("status", "thread_status", "told"),
    [
        ("success", "idle", "success"),
        ("error", "error", "error"),
        ("interrupted", "interrupted", "interrupted"),
        ("interrupted", "idle", "cancelled"),
    ],
)
async def test_runs_are_told_by_how_they_ended(
    watched: Metrics, spans: Spans, status: str, thread_status: str, told: str
) -> None:
    await done(execute(status, thread_status))
    assert ended(watched, told) == 1
    made: dict[str, Any] = dict(spans.one("invoke_agent agent").attributes or {})
    assert (made["potluck.status"], made["potluck.run_id"]) == (told, "r1")
    assert spans.parent_of("node") == "invoke_agent agent"
    assert watched.registry.get_sample_value("potluck_runs_in_progress") == 0


async def test_a_run_whose_end_nobody_wrote_down_goes_on_elsewhere(
    watched: Metrics, database: SimpleNamespace, spans: Spans
) -> None:
    database.finish = False
    await done(execute())
    assert ended(watched, "handed_over") == 1
    assert ended(watched, "success") == 0
    assert len(spans.names()) == 2


async def test_a_run_that_had_ended_before_it_began_is_none(
    watched: Metrics, database: SimpleNamespace, spans: Spans
) -> None:
    database.start = False
    await done(execute())
    assert spans.names() == []
    assert sum(ended(watched, status) or 0 for status in ("success", "handed_over")) == 0


async def test_a_run_at_work_is_in_progress(watched: Metrics) -> None:
    go_on = asyncio.Event()

    async def at_work() -> None:
        await run_executor.start_run("r1", **OWN)
        await go_on.wait()

    task = asyncio.ensure_future(at_work())
    await asyncio.sleep(0.01)
    assert watched.registry.get_sample_value("potluck_runs_in_progress") == 1
    go_on.set()
    await done(task)
    assert watched.registry.get_sample_value("potluck_runs_in_progress") == 0


async def test_a_runs_span_names_its_thread_and_stays_in_its_own_task(
    watched: Metrics, spans: Spans
) -> None:
    with telemetry.span("request"):
        with structlog.contextvars.bound_contextvars(thread_id="t1", graph_id="agent"):
            await done(execute())
        with telemetry.span("after"):
            pass
    assert spans.parent_of("invoke_agent agent") == "request"
    assert spans.parent_of("after") == "request"
    made: dict[str, Any] = dict(spans.one("invoke_agent agent").attributes or {})
    assert made["gen_ai.conversation.id"] == "t1"


async def test_everything_is_as_before_afterwards() -> None:
    before = run_executor.start_run, run_executor.finalize_run, executor.submit
    with runs_watched(Metrics(), with_redis=True):
        assert run_executor.start_run is not before[0]
    assert (run_executor.start_run, run_executor.finalize_run, executor.submit) == before


class Redis:
    """Keeps what it is given, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.kept: dict[str, str] = {}
        self.away = away

    async def set(self, key: str, value: str, *, ex: int) -> None:  # noqa: ARG002 # its own
        if self.away:
            raise redis.ConnectionError("away")
        self.kept[key] = value

    async def get(self, key: str) -> bytes | None:
        if self.away:
            raise redis.ConnectionError("away")
        found = self.kept.get(key)
        return found.encode() if found else None


Submit = Callable[[Any], Awaitable[None]]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Redis], list[Any]]]:
    """Watch runs as replicas do, with this Redis; gives the jobs that were submitted."""
    with ExitStack() as stack:

        def begin(server: Redis) -> list[Any]:
            jobs: list[Any] = []

            async def submit(job: Any) -> None:
                jobs.append(job)

            monkeypatch.setattr(executor, "submit", submit)
            manager = SimpleNamespace(get_client=lambda: server)
            monkeypatch.setattr(run_watch, "redis_manager", manager)
            stack.enter_context(runs_watched(Metrics(), with_redis=True))
            return jobs

        yield begin


JOB = SimpleNamespace(identity=SimpleNamespace(run_id="r1"))


async def test_a_run_stands_under_its_request_whichever_replica_executes_it(
    queue: Callable[[Redis], list[Any]], spans: Spans
) -> None:
    jobs = queue(Redis())
    with telemetry.span("request"):
        await executor.submit(JOB)
    assert jobs == [JOB]
    await done(execute())
    assert spans.parent_of("invoke_agent agent") == "request"


@pytest.mark.parametrize("away", [True, False])
async def test_without_word_of_a_request_a_run_begins_a_trace_of_its_own(
    queue: Callable[[Redis], list[Any]], spans: Spans, away: bool
) -> None:
    jobs = queue(Redis(away=away))
    if away:
        with telemetry.span("request"):
            await executor.submit(JOB)
        assert jobs == [JOB]
    await done(execute())
    assert spans.parent_of("invoke_agent agent") is None


async def test_nothing_is_carried_while_nobody_collects(
    queue: Callable[[Redis], list[Any]],
) -> None:
    server = Redis()
    queue(server)
    await executor.submit(JOB)
    assert server.kept == {}


def test_errors_of_the_database_quote_nothing_that_was_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    monkeypatch.setattr(db_manager, "engine", made)
    keep_values_out_of_errors()
    assert made.sync_engine.hide_parameters
