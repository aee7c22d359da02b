"""The door to parked runs: see them, have one go on at once, give one up."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import httpx
import psycopg
from fastapi import APIRouter, FastAPI, Response
from fastapi import Path as InPath
from pydantic import BaseModel

from potluck import engine
from potluck.quota.parked_run import ParkedRun
from potluck.quota.windows import Priority
from potluck.server import loopback
from potluck.server.ownership import for_owner_of, own_of
from potluck.server.parked_threads import Outcome, ParkedThreads
from potluck.server.refusal import refusal

ThreadId = Annotated[str, InPath(max_length=255, pattern=r"^[^\x00]+$")]


class ParkedRunView(BaseModel):
    """A run that waits for quota."""

    thread_id: str
    run_id: str
    resume_at: datetime
    since: datetime
    reason: str
    waiting_for: list[str]
    priority: Priority
    times: int


class ParkedRunsView(BaseModel):
    """All of them, the next one due first."""

    parked: list[ParkedRunView]


class Done(BaseModel):
    """What was done with a parked run."""

    thread_id: str
    status: str


def mount(app: FastAPI) -> None:
    """Add /quota/parked."""
    router = APIRouter(prefix="/quota/parked", tags=["Quota"])
    router.get("", response_model=ParkedRunsView)(parked)
    router.post("/{thread_id}/resume", response_model=Done)(resume)
    router.delete("/{thread_id}", response_model=Done)(cancel)
    app.include_router(router)


async def parked() -> ParkedRunsView | Response:
    """Every run of the caller's that waits for quota; for an admin those of all."""
    parking = (await engine.current()).parking
    try:
        runs = await parking.list()
        own = await own_of(run.thread_id for run in runs)
    except psycopg.Error as error:
        return _unavailable(error)
    return ParkedRunsView(parked=[view_of(run) for run in runs if run.thread_id in own])


async def resume(thread_id: ThreadId) -> Done | Response:
    """Try at once, without waiting for quota to be back; it is parked again when none is.

    What providers have said of when they are back is forgotten for it: whoever asks knows better.
    """
    used = await engine.current()
    try:
        run = await used.parking.find(thread_id)
        own = await own_of([thread_id])
    except psycopg.Error as error:
        return _unavailable(error)
    if run is not None and own:
        used.chain.forgive(run.waiting_for)
    return await _answer(thread_id, "resumed", ParkedThreads.resume)


async def cancel(thread_id: ThreadId) -> Done | Response:
    """Give the work up; the thread's last message says so, and the thread is free."""
    return await _answer(thread_id, "cancelled", ParkedThreads.cancel)


def view_of(run: ParkedRun) -> ParkedRunView:
    """A parked run as it is shown."""
    return ParkedRunView(
        thread_id=run.thread_id,
        run_id=run.run_id,
        resume_at=run.resume_at,
        since=run.since,
        reason=run.reason,
        waiting_for=list(run.waiting_for),
        priority=run.priority,
        times=run.times,
    )


async def _answer(
    thread_id: str, status: str, act: Callable[[ParkedThreads, str], Awaitable[Outcome]]
) -> Done | Response:
    parking = (await engine.current()).parking
    try:
        outcome = Outcome.GONE
        if await own_of([thread_id]):
            async with for_owner_of(thread_id):
                outcome = await act(ParkedThreads(parking, loopback.client()), thread_id)
    except (httpx.HTTPError, psycopg.Error) as error:
        return _unavailable(error)
    match outcome:
        case Outcome.DONE:
            return Done(thread_id=thread_id, status=status)
        case Outcome.GONE:
            detail = f"Nothing is parked on thread {thread_id!r}: see GET /quota/parked."
            return refusal(404, detail)
        case Outcome.BUSY:
            detail = f"Thread {thread_id!r} is just going on by itself: see its runs, or try again."
            return refusal(409, detail)


def _unavailable(error: Exception) -> Response:
    detail = f"The parked runs cannot be reached now: {type(error).__name__}. Try again shortly."
    return refusal(503, detail, {"Retry-After": "5"})
