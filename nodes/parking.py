"""What a node does when no model has quota left: stop the run until one has, wait, or fail."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal, NoReturn, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt

from graph.state import Context
from nodes.clock import note_pause
from nodes.interrupts import can_stop
from nodes.progress import named, tell
from potluck.engine import Engine
from potluck.errors import QUOTA_KINDS, ChainError
from potluck.events import ParkedEvent, WaitingEvent
from potluck.quota.parked_run import PARKED, ParkedRun

# How long a run waits when nobody told until when; the last for every further time
UNKNOWN_WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
# A provider that tells too short a time again and again must not keep the server busy
LONGEST_PAUSE_S = 60.0


class ParkedPayload(TypedDict):
    """The interrupt's payload; whatever a client answers, the models are asked again."""

    type: Literal["parked"]
    resume_at: str
    reason: str
    waiting_for: list[str]


class Patience:
    """What one question may wait for quota, in place or by stopping the run."""

    def __init__(self, used: Engine, context: Context) -> None:
        self._used = used
        self._context = context
        self._left_s = used.catalog.parking.wait_limit_seconds

    async def wait(self, error: ChainError) -> None:
        """Come back when it is time to ask again.

        Raises GraphInterrupt where the run can be gone on with later, `error` where nothing can
        be done.
        """
        config = get_config()
        when_out = self._context.get("when_out", "park")
        if not error.is_quota or when_out == "fail" or not can_stop(config):
            raise error
        if when_out == "wait":
            await self._wait_here(error)
        else:
            await self._park(error, config)

    async def _wait_here(self, error: ChainError) -> None:
        now = self._used.parking.now()
        wait_s = (error.back_at - now).total_seconds() if error.back_at else None
        if wait_s is None or wait_s > self._left_s:
            raise error
        wait_s = max(wait_s, 1.0)
        self._left_s -= wait_s
        _tell_wait(_payload(error, now + timedelta(seconds=wait_s)))
        await asyncio.sleep(wait_s)
        note_pause(wait_s)

    async def _park(self, error: ChainError, config: RunnableConfig) -> NoReturn:
        """Stop the run here. Written down first: what is written nobody forgets.

        The node begins anew when the run goes on, and asks before it comes here again. So what
        interrupts were answered with before this error has nothing to say of it.
        """
        parking = self._used.parking
        now = parking.now()
        for times in count(1):
            resume_at = _resume_at(error, now, times)
            payload = _payload(error, resume_at)
            try:
                interrupt(payload)
            except GraphInterrupt:
                tell(ParkedEvent(**payload))
                await parking.note(self._parked(payload, resume_at, times, config))
                raise
        raise AssertionError  # pragma: no cover - there are only so many answers

    def _parked(
        self, payload: ParkedPayload, resume_at: datetime, times: int, config: RunnableConfig
    ) -> ParkedRun:
        configurable = config.get("configurable", {})
        run_id = configurable.get("run_id") or config.get("metadata", {}).get("run_id") or ""
        return ParkedRun(
            thread_id=str(configurable.get("thread_id", "")),
            run_id=str(run_id),
            resume_at=resume_at,
            since=self._used.parking.now(),
            reason=payload["reason"],
            waiting_for=tuple(payload["waiting_for"]),
            known_models=tuple(model.ref for model in self._used.chain.models() if model.on),
            context=dict(self._context),
            recursion_limit=config.get("recursion_limit"),
            times=times,
        )


def _tell_wait(payload: ParkedPayload) -> None:
    tell(
        WaitingEvent(
            type="waiting",
            until=payload["resume_at"],
            reason=payload["reason"],
            waiting_for=payload["waiting_for"],
        )
    )


def _resume_at(error: ChainError, now: datetime, times: int) -> datetime:
    if error.back_at is None:
        return now + UNKNOWN_WAITS[min(times, len(UNKNOWN_WAITS)) - 1]
    pause_s = min(2.0 ** min(times - 1, 10), LONGEST_PAUSE_S)
    return max(error.back_at, now + timedelta(seconds=pause_s))


def _payload(error: ChainError, resume_at: datetime) -> ParkedPayload:
    waiting_for = _waiting_for(error)
    return ParkedPayload(
        type=PARKED,
        resume_at=resume_at.isoformat(timespec="milliseconds"),
        reason=f"The quota of every model that could answer is used up: {named(waiting_for)}.",
        waiting_for=waiting_for,
    )


def _waiting_for(error: ChainError) -> list[str]:
    """The models that are out, the one that is back first in front."""
    out = [attempt for attempt in error.attempts if attempt.kind in QUOTA_KINDS]
    last = datetime.max.replace(tzinfo=UTC)
    out.sort(key=lambda attempt: attempt.fault.until or last)
    return list(dict.fromkeys(f"{attempt.provider}/{attempt.model}" for attempt in out))
