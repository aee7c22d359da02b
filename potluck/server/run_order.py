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
    """Executes each run when all runs that came before it on its thread have ended."""

    def __init__(self, execute: Execute, write_down: Execute | None = None) -> None:
        self._execute = execute
        self._write_down_cancelled = write_down or _write_down_cancelled
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    async def __call__(self, job: RunJob) -> None:
        """Wait for this run's turn, then execute it."""
        thread_id = job.identity.thread_id
        # asyncio's lock is fair: turns come in the order in which they were asked for.
        turn = self._turns.setdefault(thread_id, asyncio.Lock())
        self._waiting[thread_id] = self._waiting.get(thread_id, 0) + 1
        try:
            try:
                await turn.acquire()
            except asyncio.CancelledError:
                await self._write_down_cancelled(job)
                raise
            try:
                await self._execute(job)
            finally:
                turn.release()
        finally:
            self._waiting[thread_id] -= 1
            if not self._waiting[thread_id]:
                del self._waiting[thread_id], self._turns[thread_id]


def order_runs() -> None:
    """Have this process's runs keep the order of their threads."""
    if not isinstance(run_executor.execute_run, RunOrder):
        run_executor.execute_run = RunOrder(run_executor.execute_run)


async def _write_down_cancelled(job: RunJob) -> None:
    """Write down a run that was cancelled before its turn; Aegra does so for begun runs only.

    The thread's status is left to the run that is at work on it.
    """
    run_id = job.identity.run_id
    active_runs.pop(run_id, None)
    if run_id in run_executor._shutdown_cancellations:  # noqa: SLF001 - see recovery
        return
    await finalize_run(
        run_id,
        job.identity.thread_id,
        user_id=job.user.identity,
        status="interrupted",
        thread_status="idle",
        output={},
    )
    await streaming_service.signal_run_cancelled(run_id)
