"""Turns on one thread come one after another, in the order in which they were asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Self

from potluck.errors import PotluckError

MAX_WAIT_S = 300.0


Elsewhere = Callable[[str, float], AbstractAsyncContextManager[None]]
"""Keeps a thread from other servers inside the block, or raises ThreadBusyError in time."""


class ThreadBusyError(PotluckError):
    """Other turns on the same thread have not ended in time."""

    @classmethod
    def after(cls, waited_s: float) -> Self:
        """The error of whoever waited so long."""
        return cls(
            f"Another turn on this thread has not ended within {waited_s:g} s.",
            fix="Wait for it or use another thread.",
        )


@dataclass(slots=True)
class _Place:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class ThreadQueue:
    """One turn at a time for each thread."""

    def __init__(self, max_wait_s: float = MAX_WAIT_S) -> None:
        self._max_wait_s = max_wait_s
        self._places: dict[str, _Place] = {}
        self._elsewhere: Elsewhere = lambda _, __: nullcontext()

    def share(self, elsewhere: Elsewhere) -> None:
        """From now on a turn here keeps the thread from other servers, too."""
        self._elsewhere = elsewhere

    @asynccontextmanager
    async def turn(self, thread_id: str | None) -> AsyncIterator[None]:
        """Wait until the thread is free and keep it; None is always free.

        Raises ThreadBusyError after `max_wait_s`.
        """
        if thread_id is None:
            yield
            return
        place = self._places.setdefault(thread_id, _Place())
        place.users += 1
        try:
            await self._acquire(place.lock)
            try:
                async with self._elsewhere(thread_id, self._max_wait_s):
                    yield
            finally:
                place.lock.release()
        finally:
            place.users -= 1
            if not place.users:
                self._places.pop(thread_id, None)

    async def _acquire(self, lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self._max_wait_s):
                await lock.acquire()
        except TimeoutError as error:
            raise ThreadBusyError.after(self._max_wait_s) from error


TURNS = ThreadQueue()
"""The turns of all doors of this process: they share the threads."""
