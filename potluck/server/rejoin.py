"""A run's stream is read to the run's end, also when its connection or its events are lost."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import RunCreateMetadata, StreamMode, StreamPart

from potluck.server.abandoned import ACTIVE
from potluck.server.approvals import interrupts_in

# So often without anything new; a run that is taken over begins again within 20 s
MAX_JOINS = 12
JOIN_AFTER_S = 0.2
LONGEST_PAUSE_S = 3.0
# The id before that of a run's first event: the server sends all that came since
FIRST_EVENT = "{}_event_0"
_NUMBER = "_event_"

logger = logging.getLogger(__name__)


def ends_run(sse: StreamPart) -> bool:
    """Whether nothing comes after it: the server may still clear away a stateless run's thread."""
    return sse.event in {"end", "error"}


async def to_the_end(
    client: LangGraphClient,
    events: AsyncGenerator[StreamPart],
    run_of: Callable[[], RunCreateMetadata | None],
    modes: tuple[StreamMode, ...],
) -> AsyncGenerator[StreamPart]:
    """The events, and where they stop short, what the run says and does until it has ended.

    Raises httpx.HTTPError when that cannot be learned.
    """
    last_id: str | None = None
    joins = 0
    while True:
        ended = told = False
        async with aclosing(events) as stream:
            async for sse in stream:
                last_id, joins, told = sse.id or last_id, 0, True
                ended = ended or ends_run(sse)
                yield sse
        # LangGraph's development server numbers no events, and tells no end but that of the stream
        if ended or (told and _number_of(last_id) is None):
            return
        run = run_of()
        if run is None or run.get("thread_id") is None or joins == MAX_JOINS:
            raise httpx.RemoteProtocolError("the run's stream broke off before its end")
        joins += 1
        await asyncio.sleep(min(JOIN_AFTER_S * 2 ** (joins - 1), LONGEST_PAUSE_S))
        thread_id, run_id = str(run["thread_id"]), run["run_id"]
        found = cast("dict[str, Any]", await client.runs.get(thread_id, run_id))
        if found["status"] not in ACTIVE:
            for sse in await _end_of(client, thread_id, found, last_id):
                yield sse
            return
        logger.info("The stream of run %s broke off, and is joined again.", run_id)
        since = last_id or FIRST_EVENT.format(run_id)
        joined = client.runs.join_stream(thread_id, run_id, stream_mode=modes, last_event_id=since)
        events = cast("AsyncGenerator[StreamPart]", joined)


async def _end_of(
    client: LangGraphClient,
    thread_id: str,
    run: dict[str, Any],  # Any: JSON of the LangGraph API
    last_id: str | None,
) -> list[StreamPart]:
    """How the run has ended, as its stream would have told it."""
    if run["status"] == "error":
        return [StreamPart("error", {"message": str(run.get("error_message") or "")})]
    state = cast("dict[str, Any]", await client.threads.get_state(thread_id))
    values = {**(state.get("values") or {}), "__interrupt__": interrupts_in(state)}
    number = _number_of(last_id) or 0
    # One number is left out: who counts them sees that something was missed
    values_id = f"{run['run_id']}{_NUMBER}{number + 2}"
    return [StreamPart("values", values, values_id), StreamPart("end", {"status": run["status"]})]


class Count:
    """Counts the events of a run, whose ids are numbered from 1."""

    def __init__(self) -> None:
        self._last: int | None = 0

    def skips_to(self, event_id: str | None) -> bool:
        """Whether events between the last one and this one are missing."""
        last, self._last = self._last, _number_of(event_id)
        return last is not None and self._last is not None and self._last > last + 1


def _number_of(event_id: str | None) -> int | None:
    """Which event of its run it is; None when its id does not tell."""
    _, mark, number = (event_id or "").rpartition(_NUMBER)
    return int(number) if mark and number.isdecimal() else None
