"""Whether the database answers, asked cheaply, and for everybody who wants to know at once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import psycopg
from psycopg import AsyncConnection

from potluck.server.address import served

CONNECT_TIMEOUT_S = 2
# Whoever waits for a database that hangs is told after this
PATIENCE_S = 1.5
# An answer, good or bad, is believed for this long
FRESH_S = 0.5
# A question without an answer is given up then, with its connection
LONGEST_S = 5.0


class Pulse:
    """Asks the database for a sign of life, over a connection of its own.

    `ask` returns once the database has answered, and raises psycopg.Error or OSError if it refuses.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[object]],
        *,
        patience_s: float = PATIENCE_S,
        fresh_s: float = FRESH_S,
    ) -> None:
        self._ask = ask
        self._patience_s = patience_s
        self._fresh_s = fresh_s
        self._question: asyncio.Task[bool] | None = None
        self._asked_s = 0.0
        self._told: tuple[float, bool] | None = None

    async def is_there(self) -> bool:
        """Whether the database answers now; never takes longer than the patience."""
        loop = asyncio.get_running_loop()
        if self._told is not None and loop.time() < self._told[0] + self._fresh_s:
            return self._told[1]
        if self._question is None or self._question.done():
            self._asked_s = loop.time()
            self._question = asyncio.create_task(self._answer())
        left_s = self._asked_s + self._patience_s - loop.time()
        done, _ = await asyncio.wait({self._question}, timeout=max(0.0, left_s))
        return bool(done) and self._question.result()

    async def aclose(self) -> None:
        """Ask no more."""
        if self._question is not None and not self._question.done():
            self._question.cancel()
            await asyncio.wait({self._question}, timeout=self._patience_s)

    async def _answer(self) -> bool:
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._ask()
        except (psycopg.Error, OSError):
            # A TimeoutError is an OSError
            is_there = False
        else:
            is_there = True
        self._told = asyncio.get_running_loop().time(), is_there
        return is_there


class Question:
    """`SELECT 1` over one connection, which is made anew when it broke."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AsyncConnection | None = None

    async def __call__(self) -> None:
        """Return when the database has answered. Raises psycopg.Error or TimeoutError."""
        kept, self._connection = self._connection, None
        if kept is not None:
            # One that broke while nobody asked tells nothing of now
            with contextlib.suppress(psycopg.OperationalError):
                await self._ask_over(kept)
                return
        await self._ask_over(
            await AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
            )
        )

    async def _ask_over(self, connection: AsyncConnection) -> None:
        try:
            await connection.execute("SELECT 1")
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


_pulses: dict[asyncio.AbstractEventLoop, tuple[Pulse, Question]] = {}


async def database_is_there() -> bool:
    """Whether the database of `potluck serve` answers; under another server nobody asks.

    LangGraph's development server keeps its threads in memory.
    """
    if served() is None:
        return True
    loop = asyncio.get_running_loop()
    if loop not in _pulses:
        question = Question(_url())
        _pulses[loop] = Pulse(question), question
    return await _pulses[loop][0].is_there()


async def close() -> None:
    """Close the connection of this event loop's pulse."""
    found = _pulses.pop(asyncio.get_running_loop(), None)
    if found is not None:
        pulse, question = found
        await pulse.aclose()
        await question.aclose()


def _url() -> str:
    # At import it reads its settings, which are there only once the server has started
    from aegra_api.settings import settings  # noqa: PLC0415

    return str(settings.db.database_url_sync)
