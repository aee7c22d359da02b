"""Rows that are written soon after they change, without delaying whoever changed them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import psycopg

_log = logging.getLogger(__name__)

SOON_S = 0.2
REFRESH_S = 60.0
TRY_AGAIN_S = 5.0
TIMEOUT_S = 5.0


class WriteBehind:
    """Calls `flush` soon after each `wake`, and `refresh` every minute, until it is closed.

    Both are tried again while the database is out, which is logged once.
    """

    def __init__(
        self,
        name: str,
        flush: Callable[[], Awaitable[None]],
        refresh: Callable[[], Awaitable[None]],
        *,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._name = name
        self._flush = flush
        self._refresh = refresh
        self._refresh_s = refresh_s
        self._changed = asyncio.Event()
        self._is_out = False
        self._task = asyncio.create_task(self._run(), name=name)

    def wake(self) -> None:
        """Something is to be written."""
        self._changed.set()

    async def aclose(self) -> None:
        """Write what is left, and stop."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._attempt(self._flush)

    async def _run(self) -> None:
        refreshed_s = time.monotonic()
        while True:
            left_s = max(0.0, refreshed_s + self._refresh_s - time.monotonic())
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                refreshed_s = time.monotonic()
                await self._attempt(self._refresh)
                continue
            # What changes together is written together
            await asyncio.sleep(TRY_AGAIN_S if self._is_out else SOON_S)
            self._changed.clear()
            if not await self._attempt(self._flush):
                self._changed.set()

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await work()
        except (psycopg.Error, TimeoutError, OSError) as error:
            if not self._is_out:
                reason = " ".join(str(error).split()) or type(error).__name__
                _log.warning("%s is not written for now: %s", self._name, reason)
            self._is_out = True
            return False
        self._is_out = False
        return True
