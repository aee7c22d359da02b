"""Runs whose caller has left: seeing to their end, and clearing away what nobody will read."""

import asyncio
import itertools
import logging
from collections.abc import Coroutine
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import RunCreateMetadata

SETTLE_TIMEOUT_S = 5.0
POLL_S = 0.05
CANCEL_EVERY = 20
ACTIVE = frozenset({"pending", "running"})

logger = logging.getLogger(__name__)

_tasks: set[asyncio.Task[None]] = set()


async def settle(client: LangGraphClient, run: RunCreateMetadata, *, keep_thread: bool) -> None:
    """Wait until the cancelled run has ended; its thread goes too unless it is to be kept.

    Goes on to its end even when the caller is cancelled meanwhile, and takes no longer than
    `SETTLE_TIMEOUT_S`. What cannot be done is logged.
    """
    await to_its_end(_settle(client, run, keep_thread=keep_thread))


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await the work, which goes on to its end even when the caller is cancelled meanwhile."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    await asyncio.shield(task)


async def _settle(client: LangGraphClient, run: RunCreateMetadata, *, keep_thread: bool) -> None:
    thread_id = run.get("thread_id")
    if thread_id is None:
        return
    try:
        async with asyncio.timeout(SETTLE_TIMEOUT_S):
            for asked in itertools.count(1):
                if (await client.runs.get(thread_id, run["run_id"]))["status"] not in ACTIVE:
                    break
                if asked % CANCEL_EVERY == 0:
                    # Whoever was told to end it may have died, or have been out of reach
                    await client.runs.cancel(thread_id, run["run_id"])
                await asyncio.sleep(POLL_S)
            if not keep_thread:
                await client.threads.delete(thread_id)
    except (httpx.HTTPError, TimeoutError) as error:
        logger.warning("Run %s was left behind: %r", run["run_id"], error)
