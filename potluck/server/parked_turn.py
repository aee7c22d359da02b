"""A turn that may be parked on its way: waiting for the run that goes on, and following it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import RunCreateMetadata, StreamPart

from potluck.server.abandoned import ACTIVE, settle
from potluck.server.approvals import approvals_in, interrupts_in, pending_approvals
from potluck.server.rejoin import FIRST_EVENT, to_the_end
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import (
    STREAM_MODES,
    Asked,
    Begun,
    Parked,
    Part,
    RunError,
    Turn,
    Values,
    Wire,
    parked_in,
    parts_of,
    run_errors,
    run_turn,
)

POLL_S = 0.1
SLOW_POLL_S = 1.0
# How long after its time a parked run may still be looked out for
GRACE_S = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GoneOn:
    """What became of a parked run: another run went on with it, or (None) it was given up."""

    run_id: str | None


async def run_through(
    client: LangGraphClient, turn: Turn, *, wait_limit_s: float | None = None
) -> AsyncGenerator[Part]:
    """Run the turn and, where it is parked, what goes on with it, as one.

    `Parked` says that it waits; as the last part, that it would have to for longer than
    `wait_limit_s` in all. `Asked` as the last part says that it waits for a person, even if a part
    of its work is parked. Whoever stops iterating cancels the run at work; a parked one stays
    parked. Raises RunError.
    """
    async with aclosing(
        _through(client, turn.thread_id, run_turn(client, turn), wait_limit_s)
    ) as parts:
        async for part in parts:
            yield part


async def pick_up(
    client: LangGraphClient, thread_id: str, *, wait_limit_s: float | None = None
) -> AsyncGenerator[Part]:
    """What is under way on a thread, as `run_through` tells it; at last or at once, its state.

    Raises RunError.
    """
    async with aclosing(
        _through(client, thread_id, _present(client, thread_id), wait_limit_s)
    ) as parts:
        async for part in parts:
            yield part


async def _through(
    client: LangGraphClient,
    thread_id: str | None,
    parts: AsyncGenerator[Part],
    left_s: float | None,
) -> AsyncGenerator[Part]:
    run_id = ""
    while True:
        parked: Parked | None = None
        asked: Asked | None = None
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, Parked):
                    parked = part
                    continue
                if isinstance(part, Asked):
                    asked = part
                    continue
                if isinstance(part, Begun):
                    run_id = part.run_id
                yield part
        if asked is not None and thread_id is not None:
            yield await _settled(client, thread_id, asked)
            return
        if parked is None:
            return
        yield parked
        begun = _now()
        is_too_long = left_s is not None and _wait_s(parked) > left_s
        gone_on = (
            None
            if thread_id is None or is_too_long
            else await _wait_for_next(client, thread_id, run_id, parked)
        )
        if thread_id is None or gone_on is None:
            return
        if left_s is not None:
            left_s -= (_now() - begun).total_seconds()
        parts = _rest(client, thread_id, gone_on)


async def _present(client: LangGraphClient, thread_id: str) -> AsyncGenerator[Part]:
    """The run at work on a thread, or how it was left."""
    with run_errors():
        thread = await client.threads.get(thread_id)
        newest = await client.runs.list(thread_id, limit=1)
        state = cast("Mapping[str, Any]", await client.threads.get_state(thread_id))
    run_id = newest[0]["run_id"] if newest else ""
    if thread["status"] == "busy" and run_id:
        async with aclosing(follow_run(client, thread_id, run_id)) as parts:
            async for part in parts:
                yield part
        return
    if run_id:
        yield Begun(run_id)
    yield Values(state.get("values") or {})
    stopped = _stopped_in(state) if thread["status"] == "interrupted" else None
    if stopped is not None:
        yield stopped


def _stopped_in(state: Mapping[str, Any]) -> Asked | Parked | None:
    """Why a run stopped before its end: for a person before all else."""
    interrupts = interrupts_in(state)
    approvals = approvals_in(interrupts)
    return Asked(approvals) if approvals else parked_in(interrupts)


async def _settled(client: LangGraphClient, thread_id: str, asked: Asked) -> Asked:
    """What waits for a person once the run has ended for the server too: all of it, in order."""
    try:
        with run_errors():
            return Asked(await pending_approvals(client, thread_id) or asked.approvals)
    except ThreadBusyError:
        # What was parked beside it goes on.
        return asked


async def _wait_for_next(
    client: LangGraphClient, thread_id: str, run_id: str, parked: Parked
) -> GoneOn | None:
    """Wait until the parked run `run_id` is gone on with; None when it is not, `GRACE_S` late."""
    while (ahead_s := _wait_s(parked)) > -GRACE_S:
        await asyncio.sleep(min(max(ahead_s, POLL_S), SLOW_POLL_S))
        with run_errors():
            newest = await client.runs.list(thread_id, limit=1)
            if newest and newest[0]["run_id"] != run_id:
                return GoneOn(newest[0]["run_id"])
            thread = await client.threads.get(thread_id)
        if thread["status"] not in ("interrupted", "busy"):
            return GoneOn(None)
    return None


async def follow_run(client: LangGraphClient, thread_id: str, run_id: str) -> AsyncGenerator[Part]:
    """What a run of others says and does, from its beginning; whoever stops iterating cancels it.

    Raises RunError.
    """
    events = client.runs.join_stream(
        thread_id,
        run_id,
        stream_mode=STREAM_MODES,
        last_event_id=FIRST_EVENT.format(run_id),
    )
    run = RunCreateMetadata(run_id=run_id, thread_id=thread_id)
    whole = to_the_end(
        client, cast("AsyncGenerator[StreamPart]", events), lambda: run, STREAM_MODES
    )
    ended = knows_end = False
    try:
        async with aclosing(parts_of(whole)) as parts:
            yield Begun(run_id)
            async for part in parts:
                knows_end = isinstance(part, Values | Parked | Asked) or knows_end
                yield part
        ended = True
    finally:
        if not ended:
            await _cancel(client, thread_id, run_id)
    if not knows_end:
        # It had ended before, and its events are forgotten.
        yield await _end_of(client, thread_id, run_id)


async def _rest(client: LangGraphClient, thread_id: str, gone_on: GoneOn) -> AsyncGenerator[Part]:
    if gone_on.run_id is None:
        with run_errors():
            yield Values(cast("Wire", (await client.threads.get_state(thread_id))["values"]))
        return
    async with aclosing(follow_run(client, thread_id, gone_on.run_id)) as parts:
        async for part in parts:
            yield part


async def _end_of(client: LangGraphClient, thread_id: str, run_id: str) -> Part:
    with run_errors():
        run = cast("Mapping[str, Any]", await client.runs.get(thread_id, run_id))
        if run["status"] == "error":
            raise RunError(str(run.get("error_message") or "The run failed."), status=502)
        state = cast("Mapping[str, Any]", await client.threads.get_state(thread_id))
    return _stopped_in(state) or Values(state["values"])


async def _cancel(client: LangGraphClient, thread_id: str, run_id: str) -> None:
    run = RunCreateMetadata(run_id=run_id, thread_id=thread_id)
    try:
        if (await client.runs.get(thread_id, run_id))["status"] in ACTIVE:
            await client.runs.cancel(thread_id, run_id)
            await settle(client, run, keep_thread=True)
    except httpx.HTTPError as error:
        logger.warning("Run %s was left behind: %r", run_id, error)


def _wait_s(parked: Parked) -> float:
    return (parked.resume_at - _now()).total_seconds()


def _now() -> datetime:
    return datetime.now(UTC)
