"""Runs on one thread go one after another; Aegra alone lets them change one state side by side."""

import asyncio
from collections.abc import Awaitable, Callable

from aegra_api.core.active_runs import active_runs
from aegra_api.models.run_job import RunJob
from aegra_api.services import run_executor
from aegra_api.services.run_status import finalize_run
from aegra_api.services.streaming_service import streaming_service

Execute = Callable[[RunJob], Awaitable[None]]


class RunOrder:
    """Executes each run when the runs that came before it on its thread have ended."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._last: dict[str, asyncio.Task[object]] = {}

    async def __call__(self, job: RunJob) -> None:
        """Wait for this run's turn, then execute it."""
        thread_id = job.identity.thread_id
        this = asyncio.current_task()
        assert this is not None  # noqa: S101 - Aegra starts every run as a task
        earlier = self._last.get(thread_id)
        self._last[thread_id] = this
        try:
            if earlier is not None and not earlier.done():
                await _wait_turn(earlier, job)
            await self._execute(job)
        finally:
            if self._last.get(thread_id) is this:
                del self._last[thread_id]


def order_runs() -> None:
    """Have this process's runs keep the order of their threads."""
    if not isinstance(run_executor.execute_run, RunOrder):
        run_executor.execute_run = RunOrder(run_executor.execute_run)


async def _wait_turn(earlier: asyncio.Task[object], job: RunJob) -> None:
    run_id = job.identity.run_id
    try:
        await asyncio.wait([earlier])
    except asyncio.CancelledError:
        # Cancelled before it began: Aegra writes this down for begun runs only.
        active_runs.pop(run_id, None)
        if run_id not in run_executor._shutdown_cancellations:  # noqa: SLF001 - see recovery
            await finalize_run(
                run_id,
                job.identity.thread_id,
                user_id=job.user.identity,
                status="interrupted",
                thread_status="idle",
                output={},
            )
            await streaming_service.signal_run_cancelled(run_id)
        raise
