"""One parked thread: going on with it exactly once, or giving its work up."""

import asyncio
import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any, cast

import httpx
import psycopg
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
)

from potluck.quota.parked_run import PARKED, ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.server.abandoned import SETTLE_TIMEOUT_S, to_its_end
from potluck.server.run_marks import marked
from potluck.server.thread_status import set_idle
from potluck.server.turn import GRAPH_ID, MARK_PREFIX, STREAM_MODES

CANCELLED = "Cancelled while waiting for quota."
# A node after which the graph ends, with the verdict that makes it end
END_NODE = "reflector"
END_VERDICT = "accept"

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """What came of trying to go on with a parked thread, or to give it up."""

    DONE = "done"
    GONE = "gone"
    """Nothing is parked there any more."""
    BUSY = "busy"
    """Somebody else is at it, or a run is at work on the thread: look again."""


class ParkedThreads:
    """Goes on with parked threads, or gives them up: one at a time for each, on all replicas.

    All methods may raise httpx.HTTPError or psycopg.Error; then nothing is lost.
    """

    def __init__(self, parking: ParkedRuns, client: LangGraphClient) -> None:
        self._parking = parking
        self._client = client

    async def resume(self, thread_id: str) -> Outcome:
        """Start the run that goes on with a parked thread."""
        async with self._parking.lock(thread_id) as is_ours:
            parked = await self._parking.find(thread_id)
            if parked is None:
                return Outcome.GONE
            if not is_ours:
                return Outcome.BUSY
            outcome = await self._resume(parked)
            if outcome is not Outcome.BUSY:
                await self._parking.remove(parked)
            return outcome

    async def cancel(self, thread_id: str) -> Outcome:
        """Give the parked work up: the thread is idle, and its last message says so."""
        async with self._parking.lock(thread_id) as is_ours:
            parked = await self._parking.find(thread_id)
            if parked is None:
                return Outcome.GONE
            if not is_ours:
                return Outcome.BUSY
            outcome, _ = await self._pending(thread_id)
            if outcome is Outcome.DONE:
                said = {"type": "ai", "content": CANCELLED}
                values = {"messages": [said], "verdict": END_VERDICT}
                await self._client.threads.update_state(thread_id, values, as_node=END_NODE)
                await set_idle(thread_id)
            if outcome is not Outcome.BUSY:
                await self._parking.remove(parked)
            return outcome

    async def _resume(self, parked: ParkedRun) -> Outcome:
        outcome, state = await self._pending(parked.thread_id)
        if outcome is not Outcome.DONE:
            return outcome
        context = dict(parked.context)
        try:
            try:
                await self._go_on(parked, state, context)
            except UnprocessableEntityError:
                # The model that was to be asked first is no longer there.
                context.pop("model", None)
                await self._go_on(parked, state, context)
        except (BadRequestError, ConflictError):
            # Another run has begun there in between.
            return Outcome.BUSY
        return Outcome.DONE

    async def _go_on(
        self, parked: ParkedRun, state: Mapping[str, Any], context: dict[str, object]
    ) -> None:  # Any: JSON of the LangGraph API
        limit = {"recursion_limit": parked.recursion_limit} if parked.recursion_limit else {}
        await self._client.runs.create(
            parked.thread_id,
            await self._assistant_of(parked),
            command={"resume": {one: {"type": PARKED} for one in parked_interrupts(state)}},
            context=cast("Any", context),  # the SDK's Context allows any object
            config=marked(_marks_in(state), **limit),
            stream_mode=STREAM_MODES,
            multitask_strategy="reject",
        )

    async def _pending(self, thread_id: str) -> tuple[Outcome, Mapping[str, Any]]:
        """The state of a thread that is parked (DONE), or why there is nothing to be done."""
        try:
            thread = await self._client.threads.get(thread_id)
            state = cast("Mapping[str, Any]", await self._client.threads.get_state(thread_id))
        except NotFoundError:
            return Outcome.GONE, {}
        if thread["status"] != "interrupted":
            # Written down before the run stops; a run that was cancelled instead leaves it idle.
            return (Outcome.BUSY if thread["status"] == "busy" else Outcome.GONE), {}
        return (Outcome.DONE if parked_interrupts(state) else Outcome.GONE), state

    async def _assistant_of(self, parked: ParkedRun) -> str:
        if not parked.run_id:
            return GRAPH_ID
        try:
            run = await self._client.runs.get(parked.thread_id, parked.run_id)
        except NotFoundError:
            return GRAPH_ID
        return run["assistant_id"]


async def give_up(parking: ParkedRuns, client: LangGraphClient, thread_id: str) -> None:
    """Give up what is parked on a thread, to the end even when the caller is cancelled.

    What cannot be done is logged; then the work goes on at its time.
    """
    await to_its_end(_give_up(parking, client, thread_id))


async def _give_up(parking: ParkedRuns, client: LangGraphClient, thread_id: str) -> None:
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            await ParkedThreads(parking, client).cancel(thread_id)
    except (httpx.HTTPError, psycopg.Error, TimeoutError) as error:
        logger.warning("Thread %s stays parked: %r", thread_id, error)


def _marks_in(state: Mapping[str, Any]) -> dict[str, object]:  # Any: JSON of the LangGraph API
    metadata = state.get("metadata") or {}
    return {key: value for key, value in metadata.items() if key.startswith(MARK_PREFIX)}


def parked_interrupts(state: Mapping[str, Any]) -> list[str]:  # Any: JSON of the LangGraph API
    """The ids of the interrupts that wait for quota; those of another kind are left alone."""
    pending = [
        *(state.get("interrupts") or ()),
        *(one for task in state.get("tasks") or () for one in task.get("interrupts") or ()),
    ]
    ids = [
        str(one["id"])
        for one in pending
        if isinstance(one.get("value"), Mapping) and one["value"].get("type") == PARKED
    ]
    return list(dict.fromkeys(ids))
