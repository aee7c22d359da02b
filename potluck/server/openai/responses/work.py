"""Work in the background: it goes on without its caller, who may look on or stop it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime

import psycopg

from potluck.errors import PotluckError
from potluck.server.openai.responses.kept import Shelf
from potluck.server.openai.responses.making import Making
from potluck.server.openai.responses.writers import Json

BEAT_S = 5.0
# After this long without a beat nobody is at work any more.
STALE_S = 30.0
# How long the events of work that has ended can still be followed
REMEMBERED_S = 300.0

logger = logging.getLogger(__name__)


class Work:
    """One response in the making, and all its events so far."""

    def __init__(self, making: Making) -> None:
        self.making = making
        self.is_over = False
        self._events: list[Json] = []
        self._error: Exception | None = None
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Make the response. What goes wrong is told to whoever follows."""
        try:
            async with aclosing(self.making.events()) as events:
                async for event in events:
                    self._events.append(event)
                    self._tell()
        except PotluckError as error:
            self._error = error
        finally:
            self.is_over = True
            self._tell()

    async def follow(self, after: int = -1) -> AsyncGenerator[Json]:
        """Its events from the one after that number on, as they come.

        Raises what kept the work from beginning.
        """
        place = after + 1
        while True:
            news = self._news
            while place < len(self._events):
                yield self._events[place]
                place += 1
            if self.is_over:
                break
            # Bounded by the work, whose own waits are.
            await news.wait()
        if self._error is not None:
            raise self._error

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Works:
    """The work in the background of this process."""

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self._works: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, making: Making, opened: AsyncExitStack) -> Work:
        """Set a response going; it ends at the latest when `opened` is closed."""
        if not self._works and not self._tasks:
            opened.push_async_callback(self.aclose)
        work = Work(making)
        response_id = making.envelope.id
        self._works[response_id] = work
        task = asyncio.create_task(self._run(work, making.shelf))
        self._tasks[response_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(response_id, None))
        return work

    def find(self, response_id: str) -> Work | None:
        """The work on a response, if this process does it, or has done lately."""
        return self._works.get(response_id)

    def is_active(self, response_id: str) -> bool:
        """Whether this process is at work on it."""
        return response_id in self._tasks

    async def stop(self, response_id: str) -> None:
        """End the work on a response, if this process does it."""
        await _end(self._tasks.get(response_id))

    async def aclose(self) -> None:
        """End all work; runs of the agent are left to the next start."""
        for task in list(self._tasks.values()):
            await _end(task)
        self._works.clear()

    async def _run(self, work: Work, shelf: Shelf) -> None:
        response_id = work.making.envelope.id
        beats = asyncio.create_task(_beat(shelf, response_id, self._tasks[response_id].cancel))
        try:
            await work.run()
        finally:
            await _end(beats)
            loop = asyncio.get_running_loop()
            loop.call_later(REMEMBERED_S, self._works.pop, response_id, None)


async def _beat(shelf: Shelf, response_id: str, stop: Callable[[], object]) -> None:
    """Say that the work goes on; stop it when it was cancelled or deleted elsewhere."""
    while True:
        await asyncio.sleep(BEAT_S)
        try:
            status = await shelf.note_work(response_id)
        except psycopg.Error as error:
            logger.warning("Work on %s could not be noted: %s", response_id, error)
            continue
        if status in (None, "cancelled"):
            stop()


async def _end(task: Awaitable[None] | None) -> None:
    if not isinstance(task, asyncio.Task) or task.done():
        return
    task.cancel()
    await asyncio.wait((task,))
