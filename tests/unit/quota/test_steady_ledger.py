"""The ledger that does not fail: what it admits without a database, and tells it later."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from potluck.quota.ledger import Claim, Held, WindowFullError
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.rations import Batch, Rations
from potluck.quota.steady_ledger import SteadyLedger
from potluck.quota.windows import Amounts, Use, Window

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = Window("day", "requests", "day", 10, "UTC")
TOKENS = Window("tokens", "tokens", "minute", 1000)
REFILL = Window("refill", "tokens", "minute", 600, "refill")
CALLS = Window("calls", "concurrent", "call", 4)


@dataclass
class FakeClock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeDatabase(MemoryLedger):
    """A ledger in a database that can be out."""

    clock: FakeClock
    fault: Exception | None = None
    live_holders: int = 1
    batches: list[Batch] = field(default_factory=list)
    settled: list[tuple[str, Amounts | None]] = field(default_factory=list)
    probes: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__(self.clock)

    def check(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def reserve(self, claim: Claim) -> Held:
        self.check()
        return await super().reserve(claim)

    async def settle(self, held: Held, used: Amounts | None) -> None:
        self.check()
        self.settled.append((held.id, used))
        await super().settle(held, used)

    async def renew(self, held: Held) -> None:
        self.check()
        await super().renew(held)

    async def retain(self, held: Held, for_s: float) -> None:
        self.check()
        await super().retain(held, for_s)

    async def note_use(self, account: str, window: Window, at_least: float) -> None:
        self.check()
        await super().note_use(account, window, at_least)

    async def uses(self, windows: Sequence[Window]) -> list[Use]:
        self.check()
        return await super().uses(windows)

    async def beat(self) -> None:
        self.probes.set()
        self.check()

    async def abandon_doubtful(self) -> None:
        self.check()

    async def restore(self, batch: Batch) -> None:
        self.check()
        self.batches.append(batch)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(clock: FakeClock) -> FakeDatabase:
    return FakeDatabase(clock)


@pytest.fixture
async def ledger(database: FakeDatabase, clock: FakeClock) -> AsyncIterator[SteadyLedger]:
    made = SteadyLedger(database, clock, probe_s=0)
    yield made
    await made.aclose()


OUT = psycopg.OperationalError("the server closed the connection")


def claim(*windows: Window, **amounts: float) -> Claim:
    return Claim("groq:1", windows, Amounts(**amounts))


async def admitted(ledger: SteadyLedger | Rations, asked: Claim) -> int:
    """How many calls are admitted until one is not."""
    for number in range(100):
        try:
            if isinstance(ledger, Rations):
                ledger.take(asked)
            else:
                await ledger.reserve(asked)
        except WindowFullError:
            return number
    return 100


async def recovered(ledger: SteadyLedger) -> None:
    assert ledger._recovery is not None
    async with asyncio.timeout(5):
        await ledger._recovery


def known(window: Window, used: float, for_s: float = 3600) -> dict[str, Use]:
    resets_at = START + timedelta(seconds=for_s)
    return {window.id: Use(window, used, resets_at, resets_at)}


async def test_calls_go_on_with_what_was_left_when_the_database_went_out(
    ledger: SteadyLedger, database: FakeDatabase
) -> None:
    for _ in range(4):
        await ledger.reserve(claim(DAY))
    database.fault = OUT
    assert await admitted(ledger, claim(DAY)) == 6
    assert [use.used for use in await ledger.uses([DAY])] == [10]


@pytest.mark.parametrize("fault", [OUT, TimeoutError("2 s")])
async def test_nothing_fails_and_one_line_says_why(
    ledger: SteadyLedger, database: FakeDatabase, fault: Exception
) -> None:
    before = await ledger.reserve(claim(DAY))
    database.fault = fault
    with capture_logs() as lines:
        held = await ledger.reserve(claim(DAY))
        await ledger.settle(held, Amounts())
        await ledger.settle(before, None)
        await ledger.note_use("groq:1", DAY, 5)
        await ledger.uses([DAY, TOKENS, REFILL, CALLS])
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "database is out" in lines[0]["event"]


async def test_what_happened_meanwhile_is_told_when_the_database_is_back(
    ledger: SteadyLedger, database: FakeDatabase
) -> None:
    before = await ledger.reserve(claim(DAY))
    database.fault = OUT
    done = await ledger.reserve(claim(DAY, TOKENS, CALLS, input_tokens=100))
    given_back = await ledger.reserve(claim(DAY))
    under_way = await ledger.reserve(claim(TOKENS, CALLS, input_tokens=50))
    await ledger.settle(before, Amounts(output_tokens=1))
    await ledger.settle(done, Amounts(input_tokens=70))
    await ledger.settle(given_back, None)
    await ledger.note_use("groq:1", DAY, 5)
    database.probes.clear()
    await database.probes.wait()
    assert not database.batches

    database.fault = None
    await recovered(ledger)

    (batch,) = database.batches
    told = {spent.id: spent for spent in batch.spent}
    assert given_back.id not in told
    assert (told[done.id].amounts, told[done.id].is_open) == ((1, 70, 0), False)
    assert (told[under_way.id].amounts, told[under_way.id].is_open) == ((50, 1), True)
    # One call before, one during: of the five that the provider counts, three were unknown.
    noted = next(spent for spent in batch.spent if spent.id not in {done.id, under_way.id})
    assert (noted.windows, noted.amounts) == ((DAY,), (3,))
    assert database.settled == [(before.id, Amounts(output_tokens=1))]


async def test_a_call_that_outlives_the_outage_is_settled_in_the_database(
    ledger: SteadyLedger, database: FakeDatabase
) -> None:
    database.fault = OUT
    held = await ledger.reserve(claim(DAY))
    database.fault = None
    await recovered(ledger)
    await ledger.settle(held, Amounts())
    assert database.settled == [(held.id, Amounts())]


async def test_a_claim_that_the_database_cannot_take_is_counted_beside_it(
    ledger: SteadyLedger, database: FakeDatabase
) -> None:
    database.fault = psycopg.DataError('time zone "Mars/Base" not recognized')
    with capture_logs() as lines:
        held = await ledger.reserve(claim(DAY))
        assert await admitted(ledger, claim(DAY)) == 9
    assert [line["account"] for line in lines] == ["groq:1"]
    database.fault = None
    await ledger.settle(held, None)
    assert ledger._rations is None


async def test_a_batch_that_the_database_cannot_take_does_not_keep_it_out(
    ledger: SteadyLedger, database: FakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(batch: Batch) -> None:
        raise psycopg.DataError("not recognized")

    monkeypatch.setattr(database, "restore", refuse)
    database.fault = OUT
    await ledger.reserve(claim(DAY))
    database.fault = None
    await recovered(ledger)
    assert ledger._rations is None


async def test_calls_without_limits_and_with_endless_ones_pass(
    ledger: SteadyLedger, database: FakeDatabase
) -> None:
    endless = [replace(window, limit=float("inf")) for window in (DAY, TOKENS, REFILL, CALLS)]
    for fault in (None, OUT):
        database.fault = fault
        await ledger.settle(await ledger.reserve(claim()), Amounts())
        held = await ledger.reserve(claim(*endless, input_tokens=1e6))
        await ledger.settle(held, Amounts(input_tokens=5))
    assert ledger._rations is not None
    (batch,) = [batch for batch in ledger._rations.batches() if not ledger._rations.written(batch)]
    assert [spent.amounts for spent in batch.spent] == [(1, 5, 5, 0)]


async def test_a_full_window_is_no_outage(ledger: SteadyLedger, database: FakeDatabase) -> None:
    full = replace(DAY, limit=1)
    await ledger.reserve(claim(full))
    with pytest.raises(WindowFullError):
        await ledger.reserve(claim(full))
    assert ledger._rations is None


@pytest.mark.parametrize(("replicas", "expected"), [(1, 6), (2, 3), (3, 2), (7, 0)])
async def test_each_replica_takes_its_part_of_what_was_left(
    clock: FakeClock, replicas: int, expected: int
) -> None:
    rations = Rations(clock, known(DAY, 4), replicas=replicas, under_way={})
    assert await admitted(rations, claim(DAY)) == expected


async def test_a_part_too_small_is_looked_at_again_and_more_than_the_limit_never_fits(
    clock: FakeClock,
) -> None:
    rations = Rations(clock, known(TOKENS, 900, 60), replicas=2, under_way={})
    with pytest.raises(WindowFullError) as soon:
        rations.take(claim(TOKENS, input_tokens=900))
    with pytest.raises(WindowFullError) as never:
        rations.take(claim(TOKENS, input_tokens=1100))
    assert soon.value.until is not None
    assert soon.value.window == TOKENS
    assert never.value.until is None


async def test_old_use_ends_when_its_window_does(clock: FakeClock) -> None:
    rations = Rations(clock, known(TOKENS, 1000, 30), replicas=2, under_way={})
    assert await admitted(rations, claim(TOKENS, input_tokens=100)) == 0
    clock.move(30)
    assert await admitted(rations, claim(TOKENS, input_tokens=100)) == 5


async def test_a_window_never_seen_counts_as_half_used(clock: FakeClock) -> None:
    rations = Rations(clock, {}, under_way={})
    assert await admitted(rations, claim(DAY)) == 5
    assert await admitted(rations, claim(REFILL, input_tokens=100)) == 3


async def test_calls_that_the_database_knows_of_stay_counted(clock: FakeClock) -> None:
    under_way = {"calls": 3}
    rations = Rations(clock, {}, under_way=under_way)
    assert await admitted(rations, claim(CALLS)) == 1
    under_way["calls"] = 0
    assert await admitted(rations, claim(CALLS)) == 3


async def test_the_journal_is_bounded_and_loses_no_amount(clock: FakeClock) -> None:
    wide = Window("wide", "tokens", "day", 1e9, "UTC")
    rations = Rations(clock, known(wide, 0), under_way={}, max_spent=50)
    for _ in range(500):
        clock.move(1)
        rations.settle(rations.take(claim(wide)), Amounts(input_tokens=1))
    told = []
    for batch in rations.batches():
        told += batch.spent
        rations.written(batch)
    assert len(told) <= 50
    assert sum(spent.amounts[0] for spent in told) == 500


async def test_a_late_call_counts_from_its_arrival_with_the_database_and_without(
    ledger: SteadyLedger, database: FakeDatabase, clock: FakeClock
) -> None:
    window = Window("rpm", "requests", "minute", 2)
    before = await ledger.reserve(claim(window))
    database.fault = OUT
    meanwhile = await ledger.reserve(claim(window))
    clock.move(30)
    await ledger.renew(meanwhile)
    await ledger.settle(meanwhile, Amounts())
    database.fault = None
    await recovered(ledger)
    (batch,) = database.batches
    assert [spent.at for spent in batch.spent] == [clock()]
    await ledger.renew(before)
    clock.move(59)
    assert [use.used for use in await ledger.uses([window])] == [1]


async def test_a_retained_call_stays_counted_with_the_database_and_without(
    ledger: SteadyLedger, database: FakeDatabase, clock: FakeClock
) -> None:
    window = Window("rpm", "requests", "minute", 3)
    for seconds in (5, 5):
        await ledger.retain(await ledger.reserve(claim(window)), seconds)
    clock.move(6)
    assert [use.used for use in await ledger.uses([window])] == [0]
    before = await ledger.reserve(claim(window))
    database.fault = OUT
    await ledger.retain(before, 5)
    await ledger.retain(await ledger.reserve(claim(window)), 5)
    database.fault = None
    await recovered(ledger)
    # What the database did not hear of in time counts to its window's end there
    assert [spent.is_open for batch in database.batches for spent in batch.spent] == [False]
    assert (before.id, before.claim.amounts) in database.settled
