"""How late the event loop is: whatever blocks it makes everybody wait."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY_S = 0.25


@asynccontextmanager
async def lag_watched(
    note: Callable[[float], None], *, every_s: float = EVERY_S
) -> AsyncIterator[None]:
    """Inside the block, tell `note` again and again how many seconds late a task woke up."""
    task = asyncio.create_task(_watch(note, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _watch(note: Callable[[float], None], every_s: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + every_s
        await asyncio.sleep(every_s)
        note(max(0.0, loop.time() - due_s))
