"""Runs that a dead or stopped server left behind go on by themselves from their checkpoint.

Without Redis the next start of the server takes them up; with Redis another server does
(`leases.py`, `run_claims.py`).
"""

from dataclasses import dataclass

import structlog
from aegra_api.core.active_runs import active_runs
from aegra_api.core.database import db_manager
from aegra_api.core.orm import Run, _get_session_maker
from aegra_api.models.run_job import RunJob
from aegra_api.services import run_executor
from aegra_api.services.executor import executor
from aegra_api.services.run_cleanup import delete_thread_by_id
from aegra_api.services.run_status import finalize_run
from sqlalchemy import select, update

from potluck.server.run_marks import STATELESS

# A run that was taken up so often without a step forward may be what kills the server.
MAX_TRIES = 3
_TRIES = "potluck_tries"
_TRIED_AT = "potluck_tried_at"
# How often servers died over it, of which `_CRASHES_SEEN` are counted as tries
_CRASHES = "_retry_count"
_CRASHES_SEEN = "potluck_crashes"

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run as it was left: its job, the last checkpoint of its thread, how often it was tried.

    `crashes` counts the servers that other servers saw die over it, `new_crashes` those since it
    was tried last.
    """

    job: RunJob
    checkpoint_id: str | None
    has_begun: bool
    tries: int
    crashes: int
    new_crashes: int

    @property
    def continued(self) -> RunJob:
        """The job, without its input if a checkpoint shows that the run has taken it in."""
        if not self.has_begun:
            return self.job
        execution = self.job.execution.model_copy(
            update={"input_data": None, "command": None, "checkpoint": None}
        )
        return self.job.model_copy(update={"execution": execution})


async def take_up() -> int:
    """Set every unfinished run of an earlier process going again; returns how many.

    A run that never gets a step further is given up as failed, so that it cannot end every start.
    """
    taken = 0
    for run in await _unfinished():
        run_id = run.job.identity.run_id
        if run.job.run_metadata.get(STATELESS):
            # Its caller is gone, and its thread was to go with it.
            await delete_thread_by_id(run.job.identity.thread_id, run.job.user.identity)
            continue
        if run.tries >= MAX_TRIES:
            await give_up(run)
            continue
        await note_try(run)
        await executor.submit(run.continued)
        logger.info("run taken up again", run_id=run_id)
        taken += 1
    return taken


def hand_over() -> None:
    """Leave the runs in work unfinished in the database, for the next start to take up.

    A run cancelled for this reason is not written down by Aegra as interrupted.
    """
    run_executor._shutdown_cancellations.update(  # noqa: SLF001 - Aegra's only way to say so
        run_id for run_id, task in active_runs.items() if not task.done()
    )


def is_hopeless(run: Unfinished) -> bool:
    """Whether a run that another server left behind has ended too many of them at one place."""
    return bool(run.new_crashes) and run.tries >= MAX_TRIES


async def _unfinished() -> list[Unfinished]:
    async with _get_session_maker()() as session:
        rows = await session.scalars(
            select(Run).where(Run.status.in_(("pending", "running"))).order_by(Run.created_at)
        )
        return [await read_unfinished(row) for row in rows]


async def read_unfinished(row: Run) -> Unfinished:
    """A run as it was left."""
    saver = db_manager.get_checkpointer()
    saved = await saver.aget_tuple({"configurable": {"thread_id": row.thread_id}})
    checkpoint_id = saved.checkpoint["id"] if saved else None
    params = row.execution_params or {}
    tried_here = params.get(_TRIED_AT) == checkpoint_id
    crashes = int(params.get(_CRASHES, 0))
    return Unfinished(
        job=RunJob.from_run_orm(row),
        checkpoint_id=checkpoint_id,
        has_begun=saved is not None and saved.metadata.get("run_id") == row.run_id,
        tries=int(params.get(_TRIES, 0)) if tried_here else 0,
        crashes=crashes,
        new_crashes=crashes - int(params.get(_CRASHES_SEEN, 0)),
    )


async def note_try(run: Unfinished, *, has_failed: bool = True) -> None:
    """Count that it is tried again from where it is, unless it was only handed over."""
    async with _get_session_maker()() as session:
        row = await session.get_one(Run, run.job.identity.run_id)
        noted = {
            _TRIES: run.tries + has_failed,
            _TRIED_AT: run.checkpoint_id,
            _CRASHES_SEEN: run.crashes,
        }
        await session.execute(
            update(Run)
            .where(Run.run_id == row.run_id)
            .values(execution_params={**(row.execution_params or {}), **noted})
        )
        await session.commit()


async def give_up(run: Unfinished) -> None:
    """Write it down as failed."""
    logger.error("run given up", run_id=run.job.identity.run_id, tries=run.tries)
    await finalize_run(
        run.job.identity.run_id,
        run.job.identity.thread_id,
        user_id=run.job.user.identity,
        status="error",
        thread_status="error",
        output={},
        error=f"Given up after {run.tries} starts of the server without a step forward.",
    )
