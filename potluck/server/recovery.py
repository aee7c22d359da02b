"""Runs that a dead or stopped server left behind go on by themselves from their checkpoint.

Without Redis, Aegra neither recovers such runs nor frees their threads; with Redis its leases do.
"""

import asyncio
from collections import defaultdict

import structlog
from aegra_api.core.active_runs import active_runs
from aegra_api.core.database import db_manager
from aegra_api.core.orm import Run, _get_session_maker
from aegra_api.models.run_job import RunJob
from aegra_api.services import run_executor
from aegra_api.services.executor import executor
from sqlalchemy import select

RUN_TIMEOUT_S = 3600.0

logger = structlog.get_logger(__name__)


class Recovery:
    """Takes up the runs of an earlier process at start, and hands ours over at the stop."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> int:
        """Set every unfinished run going again; runs of one thread one after another."""
        by_thread: dict[str, list[RunJob]] = defaultdict(list)
        for job in await _unfinished():
            by_thread[job.identity.thread_id].append(job)
        self._tasks = [asyncio.create_task(_run_in_order(jobs)) for jobs in by_thread.values()]
        return sum(len(jobs) for jobs in by_thread.values())

    async def stop(self) -> None:
        """Leave the runs in work unfinished in the database, for the next start to take up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A run cancelled for this reason is not written down as interrupted by Aegra.
        run_executor._shutdown_cancellations.update(  # noqa: SLF001 - Aegra's only way to say so
            run_id for run_id, task in active_runs.items() if not task.done()
        )


async def _unfinished() -> list[RunJob]:
    async with _get_session_maker()() as session:
        rows = await session.scalars(
            select(Run).where(Run.status.in_(("pending", "running"))).order_by(Run.created_at)
        )
        return [RunJob.from_run_orm(row) for row in rows]


async def _run_in_order(jobs: list[RunJob]) -> None:
    for job in jobs:
        run_id = job.identity.run_id
        await executor.submit(await _continued(job))
        logger.info("Run taken up again", run_id=run_id, thread_id=job.identity.thread_id)
        await executor.wait_for_completion(run_id, timeout=RUN_TIMEOUT_S)


async def _continued(job: RunJob) -> RunJob:
    """The job without its input, if a checkpoint shows that the run has taken it in already."""
    saver = db_manager.get_checkpointer()
    saved = await saver.aget_tuple({"configurable": {"thread_id": job.identity.thread_id}})
    if saved is None or saved.metadata.get("run_id") != job.identity.run_id:
        return job
    execution = job.execution.model_copy(
        update={"input_data": None, "command": None, "checkpoint": None}
    )
    return job.model_copy(update={"execution": execution})
