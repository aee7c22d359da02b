"""A run belongs to the server that is at work on it, until that server is dead or silent.

A server shows that it is there by a lock of the database, which the database itself lets go when
the process dies, and by renewing the leases of its runs. No clock of another machine is believed:
whoever watches counts the seconds in which a lease was not renewed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from aegra_api.core.orm import _get_session_maker
from aegra_api.core.redis_manager import redis_manager
from aegra_api.services import run_executor
from aegra_api.settings import settings
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from potluck.server.lease_terms import (
    BEAT_TIMEOUT_S,
    DEAD_AFTER_S,
    HEARTBEAT_S,
    LEASE_S,
    LOST_AFTER_S,
    PRESENCE_LOCK,
    SILENT_AFTER_S,
)

_DATABASE_ERRORS = (SQLAlchemyError, PoolTimeoutError, OSError)

_RENEW = text(
    "UPDATE runs SET lease_expires_at = :until WHERE run_id = ANY(:runs) "
    "AND claimed_by = ANY(:names) RETURNING run_id"
)
_RUNNING = text(
    """
    SELECT run_id, claimed_by, lease_expires_at, EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid::bigint = :lock AND objsubid = 2 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND objid::bigint = (
              hashtext(regexp_replace(claimed_by, '-worker-[0-9]+$', ''))::bigint & 4294967295
          )
    ) AS is_there
    FROM runs WHERE status = 'running'
    """
)
_TAKE_BACK = text(
    """
    UPDATE runs SET status = 'pending', claimed_by = NULL, lease_expires_at = NULL,
        updated_at = now(),
        execution_params = jsonb_set(
            coalesce(execution_params, '{}'), '{_retry_count}',
            to_jsonb(coalesce((execution_params->>'_retry_count')::int, 0) + 1)
        )
    WHERE run_id = :run AND status = 'running'
      AND claimed_by IS NOT DISTINCT FROM :name
      AND lease_expires_at IS NOT DISTINCT FROM :until
    RETURNING run_id
    """
)
_LOST = text(
    """
    SELECT run_id FROM runs AS lost
    WHERE status = 'pending' AND claimed_by IS NULL
      AND greatest(created_at, updated_at) < now() - make_interval(secs => :seconds)
      AND NOT EXISTS (
          SELECT FROM runs AS other
          WHERE other.thread_id = lost.thread_id AND other.run_id <> lost.run_id
            AND (other.status = 'running' OR other.status = 'pending'
                 AND (other.created_at, other.run_id) < (lost.created_at, lost.run_id))
      )
    ORDER BY created_at
    """
)

logger = structlog.get_logger(__name__)


async def enqueue(run_ids: Sequence[str], *, first: bool = False) -> None:
    """Offer runs to all servers; `first` before those that wait. What fails is found later."""
    if not run_ids:
        return
    try:
        client = redis_manager.get_client()
        push = client.lpush if first else client.rpush
        await push(settings.worker.WORKER_QUEUE_KEY, *run_ids)
    except (RedisError, OSError) as error:
        logger.warning("Runs could not be offered yet.", run_ids=list(run_ids), reason=repr(error))


@dataclass(frozen=True, slots=True)
class _Kept:
    name: str
    job: asyncio.Task[None]


class Leases:
    """The leases of this server's runs, renewed together; a run whose lease is lost is stopped."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._beat: asyncio.Task[None] | None = None

    def holds(self, run_id: str) -> bool:
        """Whether this server is still at work on the run."""
        return run_id in self._kept

    async def keep(self, run_id: str, name: str, *, job_task: asyncio.Task[None]) -> None:
        """Renew the run's lease until cancelled."""
        self._kept[run_id] = _Kept(name, job_task)
        if self._beat is None or self._beat.done():
            self._beat = asyncio.create_task(self._beat_on())
        try:
            await asyncio.Event().wait()
        finally:
            self._kept.pop(run_id, None)

    async def _beat_on(self) -> None:
        while self._kept:
            try:
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    await self.renew()
            except _DATABASE_ERRORS as error:
                # As long as nobody reaches the database nobody takes the runs, either
                logger.warning("Leases could not be renewed.", reason=repr(error))
            await asyncio.sleep(HEARTBEAT_S)

    async def renew(self) -> None:
        """Renew all leases now. Raises what the database raises."""
        asked = dict(self._kept)
        values = {
            "until": datetime.now(UTC) + timedelta(seconds=LEASE_S),
            "runs": list(asked),
            "names": list({one.name for one in asked.values()}),
        }
        async with _get_session_maker()() as session:
            renewed = set(await session.scalars(_RENEW, values))
            await session.commit()
        for run_id in asked.keys() - renewed:
            kept = self._kept.get(run_id)
            if kept is asked[run_id] and not kept.job.done():
                logger.warning("The run's lease is lost: it goes on elsewhere.", run_id=run_id)
                run_executor._lease_loss_cancellations.add(run_id)  # noqa: SLF001 - Aegra's only way to say so
                kept.job.cancel()


@dataclass(frozen=True, slots=True)
class Held:
    """A run that is said to be at work: by whom, its lease, and whether that server is there."""

    run_id: str
    name: str | None
    until: datetime | None
    is_there: bool


class Watch:
    """Finds the runs whose server is dead or silent; tells time by its own clock alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since_s: dict[Held, float] = {}
        self._looked_s = clock()

    def look(self, running: Sequence[Held]) -> list[Held]:
        """Which of the running ones are to be taken over, by what was seen so far."""
        now_s = self._clock()
        # After a while without looking, or without a database, all begin anew
        is_blind = now_s - self._looked_s > DEAD_AFTER_S
        known_s = {} if is_blind else self._since_s
        self._looked_s = now_s
        self._since_s = {one: known_s.get(one, now_s) for one in running}
        quiet_s = {one: now_s - since_s for one, since_s in self._since_s.items()}
        return [one for one, quiet in quiet_s.items() if quiet >= _patience_s(one)]


def _patience_s(held: Held) -> float:
    return SILENT_AFTER_S if held.is_there else DEAD_AFTER_S


class Reaper:
    """Takes runs back from servers that are gone, and offers what nobody was told of."""

    def __init__(self) -> None:
        self._watch = Watch()

    async def reap(self) -> None:
        """Look once. Raises what the database raises."""
        async with _get_session_maker()() as session:
            rows = await session.execute(_RUNNING, {"lock": PRESENCE_LOCK})
            left = self._watch.look([Held(*row) for row in rows])
            taken = [one for one in left if await _take_back(session, one)]
            await session.commit()
            lost = list(await session.scalars(_LOST, {"seconds": LOST_AFTER_S}))
        for one in taken:
            logger.warning("A run is taken over.", run_id=one.run_id, server=one.name)
        await enqueue([one.run_id for one in taken], first=True)
        await enqueue(await _not_queued(lost))


async def _take_back(session: AsyncSession, held: Held) -> bool:
    values = {"run": held.run_id, "name": held.name, "until": held.until}
    return await session.scalar(_TAKE_BACK, values) is not None


async def _not_queued(run_ids: Sequence[str]) -> list[str]:
    if not run_ids:
        return []
    try:
        queued = await redis_manager.get_client().lrange(settings.worker.WORKER_QUEUE_KEY, 0, -1)
    except (RedisError, OSError):
        return []
    return [run_id for run_id in run_ids if run_id not in set(queued)]
