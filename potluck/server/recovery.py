"""Runs that a dead or stopped server left behind go on by themselves from their checkpoint.

Without Redis, Aegra neither recovers such runs nor frees their threads; with Redis its leases do.
"""

import structlog
from aegra_api.core.active_runs import active_runs
from aegra_api.core.database import db_manager
from aegra_api.core.orm import Run, _get_session_maker
from aegra_api.models.run_job import RunJob
from aegra_api.services import run_executor
from aegra_api.services.executor import executor
from sqlalchemy import select

logger = structlog.get_logger(__name__)


async def take_up() -> int:
    """Set every unfinished run of an earlier process going again; returns how many."""
    jobs = await _unfinished()
    for job in jobs:
        await executor.submit(await _continued(job))
        logger.info("run taken up again", run_id=job.identity.run_id)
    return len(jobs)


def hand_over() -> None:
    """Leave the runs in work unfinished in the database, for the next start to take up.

    A run cancelled for this reason is not written down by Aegra as interrupted.
    """
    run_executor._shutdown_cancellations.update(  # noqa: SLF001 - Aegra's only way to say so
        run_id for run_id, task in active_runs.items() if not task.done()
    )


async def _unfinished() -> list[RunJob]:
    async with _get_session_maker()() as session:
        rows = await session.scalars(
            select(Run).where(Run.status.in_(("pending", "running"))).order_by(Run.created_at)
        )
        return [RunJob.from_run_orm(row) for row in rows]


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
