"""Asking a second model when the first is slow to speak; whoever speaks first answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from potluck.errors import ProviderError


async def hedged[Item](
    first: AsyncGenerator[Item],
    second: Callable[[], AsyncGenerator[Item]],
    *,
    after_s: float,
) -> AsyncGenerator[tuple[bool, Item]]:
    """The items of one of two streams, each with whether it is the second.

    The second begins when the first has given nothing for `after_s`; the one that gives something
    first goes on, the other is cancelled. Raises the ProviderError of the first when both fail.
    """
    race = _Race(first)
    async with aclosing(await race.winner(second, after_s)) as stream:
        is_second = stream is not first
        yield is_second, race.item()
        async for item in stream:
            yield is_second, item


class _Race[Item]:
    def __init__(self, first: AsyncGenerator[Item]) -> None:
        self._first = first
        self._items: list[Item] = []
        self._failures: list[ProviderError] = []
        self._running: dict[asyncio.Task[Item], AsyncGenerator[Item]] = {}

    def item(self) -> Item:
        """What the winner gave."""
        return self._items[0]

    async def winner(
        self, second: Callable[[], AsyncGenerator[Item]], after_s: float
    ) -> AsyncGenerator[Item]:
        """The stream that is to go on; the other one is closed."""
        self._start(self._first)
        try:
            done, _ = await asyncio.wait(self._running, timeout=after_s)
            if not done:
                self._start(second())
            while self._running:
                # Each stream bounds its own time
                done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    stream = self._running.pop(task)
                    if self._finished(task):
                        return stream
        finally:
            await self._stop()
        raise self._failures[0]

    def _start(self, stream: AsyncGenerator[Item]) -> None:
        self._running[asyncio.create_task(_next(stream))] = stream

    def _finished(self, task: asyncio.Task[Item]) -> bool:
        try:
            self._items.append(task.result())
        except ProviderError as error:
            self._failures.append(error)
            return False
        return True

    async def _stop(self) -> None:
        """End whoever is still running, wherever it is: a cancelled call is settled like any."""
        for task in self._running:
            task.cancel()
        if self._running:
            # No longer than it takes to close a connection
            done, _ = await asyncio.wait(self._running, timeout=5)
            for task in done:
                if not task.cancelled() and task.exception() is None:
                    # It spoke at the same moment, too late
                    await self._running[task].aclose()


async def _next[Item](stream: AsyncGenerator[Item]) -> Item:
    return await anext(stream)
