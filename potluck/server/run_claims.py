"""Runs on one thread go one after another over all servers, and go on where another left them."""

from datetime import UTC, datetime, timedelta

import structlog
from aegra_api.core.orm import Run, _get_session_maker
from aegra_api.models.run_job import RunJob
from aegra_api.services.run_status import finalize_run
from aegra_api.services.streaming_service import streaming_service
from aegra_api.services.worker_executor import _LoadedRun
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from potluck.server.lease_terms import LEASE_S
from potluck.server.leases import Leases, enqueue
from potluck.server.recovery import give_up, is_hopeless, note_try, read_unfinished

# The first key of our locks on threads while a run is claimed; no other lock of Potluck uses it
CLAIM_LOCK = 1_668_047_213
UNREADABLE = "The run's parameters are missing from the database."
GIVEN_UP = "Servers died over this run again and again: it was given up."

_THREAD = text("SELECT thread_id FROM runs WHERE run_id = :run")
_LOCK = text("SELECT pg_advisory_xact_lock(:class, hashtext(:thread))")
_CLAIM = text(
    """
    UPDATE runs AS mine SET status = 'running', claimed_by = :name, lease_expires_at = :until,
        execution_params = jsonb_set(
            execution_params, '{potluck_claims}',
            to_jsonb(coalesce((execution_params->>'potluck_claims')::int, 0) + 1)
        )
    WHERE run_id = :run AND status = 'pending' AND claimed_by IS NULL
      AND NOT EXISTS (
          SELECT FROM runs AS other
          WHERE other.thread_id = mine.thread_id AND other.run_id <> mine.run_id
            AND (other.status = 'running' OR other.status = 'pending'
                 AND (other.created_at, other.run_id) < (mine.created_at, mine.run_id))
      )
    RETURNING run_id
    """
)
_NEXT = text(
    """
    SELECT next.run_id FROM runs AS ended JOIN runs AS next USING (thread_id)
    WHERE ended.run_id = :run AND next.status = 'pending' AND next.claimed_by IS NULL
    ORDER BY next.created_at, next.run_id LIMIT 1
    """
)

logger = structlog.get_logger(__name__)


class Claims:
    """Takes runs for this server, each only when all that came before it on its thread ended."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    async def claim(self, run_id: str, name: str) -> _LoadedRun | None:
        """Take the run for the worker of that name; None when it is not its turn, or not free.

        One whose turn has not come is offered again when the one before it ends.
        """
        if self._leases.holds(run_id):
            # This server lost it and has not noticed yet
            return None
        run = await self._take(run_id, name)
        if run is None:
            return None
        params = run.execution_params
        if params is None:
            await _fail(run, UNREADABLE)
            return None
        if params["potluck_claims"] == 1:
            return _LoadedRun(RunJob.from_run_orm(run), params.get("trace", {}))
        unfinished = await read_unfinished(run)
        if is_hopeless(unfinished):
            await give_up(unfinished)
            await streaming_service.signal_run_error(run_id, GIVEN_UP, "Error")
            await self.offer_next(run_id)
            return None
        await note_try(unfinished, has_failed=bool(unfinished.new_crashes))
        logger.info("run taken up again", run_id=run_id, has_begun=unfinished.has_begun)
        return _LoadedRun(unfinished.continued, params.get("trace", {}))

    async def _take(self, run_id: str, name: str) -> Run | None:
        until = datetime.now(UTC) + timedelta(seconds=LEASE_S)
        async with _get_session_maker()() as session, session.begin():
            thread_id = await session.scalar(_THREAD, {"run": run_id})
            if thread_id is None:
                return None
            # The next statement sees all that was claimed on this thread before
            await session.execute(_LOCK, {"class": CLAIM_LOCK, "thread": thread_id})
            values = {"run": run_id, "name": name, "until": until}
            if await session.scalar(_CLAIM, values) is None:
                return None
            return await session.get_one(Run, run_id)

    async def offer_next(self, run_id: str) -> None:
        """Offer the run that waits for the end of this one, if there is one."""
        try:
            async with _get_session_maker()() as session:
                following = await session.scalar(_NEXT, {"run": run_id})
            await enqueue([following] if following else [], first=True)
        except (SQLAlchemyError, RedisError, OSError) as error:
            logger.warning("The next run is offered later.", run_id=run_id, reason=repr(error))


async def _fail(run: Run, why: str) -> None:
    await finalize_run(
        run.run_id,
        run.thread_id,
        user_id=run.user_id,
        status="error",
        thread_status="error",
        output={},
        error=why,
    )
