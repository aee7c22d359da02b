"""Who watches a server: its calls, runs, sandboxes and event loop are counted and told."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from potluck.engine import Engine
from potluck.server.address import served
from potluck.server.logs import log_call
from potluck.server.metrics import Metrics
from potluck.server.metrics_loop import lag_watched
from potluck.server.metrics_sandbox import CountedRunner


@asynccontextmanager
async def all_watched(used: Engine, metrics: Metrics) -> AsyncIterator[None]:
    """Inside the block, what the engine does is counted and told."""
    async with AsyncExitStack() as stack:
        if used.settings.otel_exporter_otlp_endpoint is not None:
            from potluck.server.tracing import spans_sent  # noqa: PLC0415 - it loads much

            await stack.enter_async_context(spans_sent(used.settings))
        await stack.enter_async_context(lag_watched(metrics.lag.observe))
        used.history.listeners += [metrics.note_call, log_call]
        used.chain.listeners.append(metrics.note_chain)
        if served() is not None:
            _watch_runs(stack, used, metrics)
        yield


def count_sandbox(used: Engine, metrics: Metrics) -> None:
    """From now on the engine's runner is a counted one."""
    used.runner = CountedRunner(used.runner, metrics.note_sandbox)


def _watch_runs(stack: AsyncExitStack, used: Engine, metrics: Metrics) -> None:
    """Under `potluck serve`, whose runs are Aegra's."""
    from potluck.server import run_metadata, run_watch  # noqa: PLC0415 - Aegra, only now

    run_metadata.name_requests()
    run_watch.keep_values_out_of_errors()
    with_redis = used.settings.redis_url is not None
    stack.enter_context(run_watch.runs_watched(metrics, with_redis=with_redis))
