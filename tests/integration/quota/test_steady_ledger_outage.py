"""Calls go on while PostgreSQL is out of reach, and the ledger knows of them afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from potluck.pool import Pool, pool_to
from potluck.quota.ledger import Claim, WindowFullError
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.steady_ledger import SteadyLedger
from potluck.quota.windows import Amounts, Window

pytestmark = pytest.mark.integration

DAY = Window("requests a day", "requests", "day", 10, "UTC")
TOKENS = Window("tokens a day", "tokens", "day", 100_000)
CALLS = Window("calls", "concurrent", "call", 4)
CLAIM = Claim("groq:1", (DAY, TOKENS, CALLS), Amounts(input_tokens=100))
TIMEOUT_S = 1.0


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Wire:
    """A way to the database that can be cut, or go silent."""

    socket: str
    port: int = 0
    is_cut: bool = False
    is_silent: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()
        self.cut()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self) -> None:
        self.is_cut = True
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    def mend(self) -> None:
        self.is_cut = self.is_silent = False

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_unix_connection(self.socket)
        self.writers |= {writer, back}
        for task in (
            asyncio.create_task(self._pass_on(reader, back)),
            asyncio.create_task(self._pass_on(there, writer)),
        ):
            self.tasks.add(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                while self.is_silent and not self.is_cut:  # noqa: ASYNC110 - a test's wire
                    await asyncio.sleep(0.01)
                writer.write(chunk)
                await writer.drain()
        writer.close()


@pytest.fixture
async def wire(pool: Pool, postgres_url: str) -> AsyncIterator[Wire]:
    folder = conninfo_to_dict(postgres_url)["host"]
    async with Wire(
        f"{folder}/.s.PGSQL.{conninfo_to_dict(postgres_url).get('port', 5432)}"
    ).open() as wire:
        yield wire


@pytest.fixture
async def steady(wire: Wire, postgres_url: str) -> AsyncIterator[SteadyLedger]:
    url = make_conninfo(postgres_url, host="127.0.0.1", port=wire.port)
    async with pool_to(url) as pool:
        exact = PostgresLedger(pool, timeout_s=TIMEOUT_S)
        ledger = SteadyLedger(exact, now, probe_s=0.05)
        yield ledger
        await ledger.aclose()


@pytest.fixture
async def beside(pool: Pool) -> AsyncIterator[PostgresLedger]:
    """The ledger as others see it, whose way to the database is never cut."""
    ledger = PostgresLedger(pool)
    yield ledger
    await ledger.aclose()


async def back_in_use(ledger: SteadyLedger) -> None:
    async with asyncio.timeout(15):
        while ledger._rations is not None:  # noqa: ASYNC110 - its own task does it
            await asyncio.sleep(0.02)


async def used(ledger: PostgresLedger, *windows: Window) -> list[float]:
    return [use.used for use in await ledger.uses(windows)]


@pytest.mark.parametrize("how", ["cut", "silent"])
async def test_an_outage_fails_no_call_and_nothing_is_lost(
    how: str, wire: Wire, steady: SteadyLedger, beside: PostgresLedger
) -> None:
    settled_during = await steady.reserve(CLAIM)
    settled_after = await steady.reserve(CLAIM)
    assert await used(beside, DAY, TOKENS, CALLS) == [2, 200, 2]

    if how == "cut":
        wire.cut()
    else:
        wire.is_silent = True
    begun = time.monotonic()
    done = await steady.reserve(CLAIM)
    assert time.monotonic() - begun < TIMEOUT_S + 1
    given_back = await steady.reserve(CLAIM)
    await steady.settle(settled_during, Amounts(input_tokens=7))
    await steady.settle(done, Amounts(input_tokens=30))
    await steady.settle(given_back, None)
    open_at_return = await steady.reserve(CLAIM)
    wire.mend()
    await back_in_use(steady)

    # 7 + 30 tokens are settled; two calls of 100 are under way.
    assert await used(beside, DAY, TOKENS, CALLS) == [4, 237, 2]
    await steady.settle(settled_after, Amounts(input_tokens=1))
    await steady.settle(open_at_return, Amounts(input_tokens=2))
    await steady.settle(open_at_return, Amounts(input_tokens=90))
    assert await used(beside, DAY, TOKENS, CALLS) == [4, 40, 0]


async def test_no_more_is_admitted_than_was_left_over_outage_and_return(
    wire: Wire, steady: SteadyLedger, beside: PostgresLedger
) -> None:
    admitted = 0

    async def call() -> None:
        nonlocal admitted
        with suppress(WindowFullError):
            held = await steady.reserve(CLAIM)
            admitted += 1
            await asyncio.sleep(0.01)
            await steady.settle(held, Amounts(input_tokens=10))

    for _ in range(3):
        await call()
    wire.cut()
    await asyncio.gather(*(call() for _ in range(3)))
    wire.mend()
    caller = asyncio.create_task(back_in_use(steady))
    while not caller.done():
        await call()
        await asyncio.sleep(0.002)
    for _ in range(10):
        await call()
    assert admitted == DAY.limit
    assert await used(beside, DAY, TOKENS, CALLS) == [10, 100, 0]


async def test_a_ledger_closed_during_an_outage_writes_what_it_can(
    wire: Wire, steady: SteadyLedger, beside: PostgresLedger
) -> None:
    await steady.settle(await steady.reserve(CLAIM), Amounts(input_tokens=5))
    wire.cut()
    await steady.settle(await steady.reserve(CLAIM), Amounts(input_tokens=6))
    wire.mend()
    await steady.aclose()
    assert await used(beside, DAY, TOKENS) == [2, 11]
