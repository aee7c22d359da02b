"""The ledger in PostgreSQL against the one in memory, and what only a database can promise."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potluck.pool import Pool
from potluck.quota.ledger import Claim, Held, Ledger, WindowFullError
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.periods import ends_of
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.rations import Batch, Spent
from potluck.quota.windows import Amounts, Period, Use, Window

pytestmark = pytest.mark.integration

LA = "America/Los_Angeles"
# Clocks go back over this night in Los Angeles, and over this midnight in Havana.
START = datetime(2026, 11, 1, 3, 59, 30, tzinfo=UTC)
WINDOWS = (
    Window("rpm", "requests", "minute", 3),
    Window("tpm", "tokens", "minute", 900, guard_s=0.5),
    Window("rph", "requests", "hour", 5),
    Window("calendar hour", "requests", "hour", 4, LA),
    Window("rpd", "requests", "day", 6),
    Window("itd", "input_tokens", "day", 2000, LA),
    Window("otd", "output_tokens", "day", 700, "America/Havana"),
    Window("cpm", "credits", "month", 4, LA),
    Window("rolling month", "credits", "month", 6),
    Window("calendar minute", "output_tokens", "minute", 500, "UTC"),
    Window("refill", "tokens", "minute", 600, "refill"),
    Window("refilling day", "requests", "day", 5, "refill"),
    Window("calls", "concurrent", "call", 3),
)
NUMBER = count()


@dataclass
class FakeClock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def ledger(pool: Pool, clock: FakeClock) -> AsyncIterator[PostgresLedger]:
    made = PostgresLedger(pool, clock=clock, timeout_s=30)
    yield made
    await made.aclose()


def claim(*windows: Window, account: str = "groq:1", **amounts: float) -> Claim:
    return Claim(account, windows, Amounts(**amounts))


async def refused(ledger: Ledger, asked: Claim) -> WindowFullError:
    with pytest.raises(WindowFullError) as raised:
        await ledger.reserve(asked)
    return raised.value


async def used(ledger: Ledger, *windows: Window) -> list[float]:
    return [use.used for use in await ledger.uses(windows)]


async def wait_for(ledger: Ledger, window: Window, amount: float) -> None:
    async with asyncio.timeout(5):
        while await used(ledger, window) != [amount]:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.02)


AMOUNTS = st.builds(
    Amounts,
    input_tokens=st.sampled_from([0, 100, 350, 700]),
    output_tokens=st.sampled_from([0, 50, 200]),
    credits=st.sampled_from([0, 0.5, 1.25]),
)
INDEXES = st.integers(0, len(WINDOWS) - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.sets(INDEXES, min_size=1, max_size=6), AMOUNTS),
        st.tuples(st.just("settle"), st.integers(0, 5), st.none() | AMOUNTS),
        st.tuples(st.just("renew"), st.integers(0, 5), st.none()),
        st.tuples(st.just("retain"), st.integers(0, 5), st.sampled_from([0.1, 20, 100, 5000])),
        st.tuples(st.just("note"), INDEXES, st.sampled_from([0.5, 2, 3, 400])),
        st.tuples(st.just("limit"), INDEXES, st.sampled_from([0.4, 1, 2.5])),
        st.tuples(
            st.just("move"),
            st.sampled_from([0.25, 20, 59.5, 60, 700, 3600, 86_400, 2_600_000, -0.5, -90, -4000]),
            st.none(),
        ),
    ),
    max_size=20,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
async def test_it_agrees_with_the_ledger_in_memory(pool: Pool, steps: list[tuple]) -> None:
    clock, helds, account = FakeClock(), [], f"account {next(NUMBER)}"
    windows = [replace(window, id=f"{account} {window.id}") for window in WINDOWS]
    plain, exact = MemoryLedger(clock), PostgresLedger(pool, clock=clock, timeout_s=30)
    for name, first, second in steps:
        match name:
            case "move":
                for window in windows:
                    # Ended entries are deleted when a window is written, not when it is read.
                    await exact.note_use(account, window, 1e-12)
                clock.move(first)
                await exact.beat()
            case "reserve":
                asked = Claim(account, tuple(windows[i] for i in sorted(first)), second)
                helds += await reserve_in_both(exact, plain, asked)
            case "settle" if helds:
                in_exact, in_plain = helds[first % len(helds)]
                await exact.settle(in_exact, second)
                await plain.settle(in_plain, second)
            case "renew" if helds:
                in_exact, in_plain = helds[first % len(helds)]
                await exact.renew(in_exact)
                await plain.renew(in_plain)
            case "retain" if helds:
                in_exact, in_plain = helds[first % len(helds)]
                await exact.retain(in_exact, second)
                await plain.retain(in_plain, second)
            case "note":
                await exact.note_use(account, windows[first], second)
                await plain.note_use(account, windows[first], second)
            case "limit":
                windows[first] = replace(windows[first], limit=WINDOWS[first].limit * second)
        assert_same(await exact.uses(windows), await plain.uses(windows))
    await exact.aclose()


async def test_what_is_retained_ends_in_time_whoever_is_gone(pool: Pool) -> None:
    window = Window("rpm", "requests", "minute", 1)
    gone, other = PostgresLedger(pool, lease_s=900), PostgresLedger(pool)
    asked = Claim("groq:1", (window,), Amounts())
    await gone.retain(await gone.reserve(asked), 0.5)
    with pytest.raises(WindowFullError):
        await other.reserve(asked)
    await asyncio.sleep(0.6)
    await other.reserve(asked)
    await other.aclose()
    await gone.aclose()


async def reserve_in_both(
    exact: PostgresLedger, plain: MemoryLedger, asked: Claim
) -> list[tuple[Held, Held]]:
    try:
        in_plain = await plain.reserve(asked)
    except WindowFullError as error:
        expected = error
    else:
        in_exact = await exact.reserve(asked)
        assert_same(in_exact.uses, in_plain.uses)
        return [(in_exact, in_plain)]
    got = await refused(exact, asked)
    assert got.window == expected.window
    assert is_close(got.until, expected.until)
    assert_same(got.uses, expected.uses)
    return []


def assert_same(got: Sequence[Use], expected: Sequence[Use]) -> None:
    for one, other in zip(got, expected, strict=True):
        assert one.window == other.window
        assert one.used == pytest.approx(other.used, abs=1e-6)
        assert is_close(one.free_at, other.free_at), (one, other)
        assert is_close(one.resets_at, other.resets_at), (one, other)


def is_close(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= timedelta(milliseconds=1)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    moments=st.lists(
        st.integers(1_700_000_000, 1_900_000_000).map(lambda s: datetime.fromtimestamp(s, UTC)),
        min_size=20,
        max_size=20,
    ),
    zone=st.sampled_from(
        [LA, "America/Havana", "Africa/Cairo", "Asia/Kolkata", "Atlantic/Azores", "rolling"]
    ),
    period=st.sampled_from(["minute", "hour", "day", "month"]),
)
async def test_both_agree_on_when_a_period_ends(
    pool: Pool, moments: list[datetime], zone: str, period: Period
) -> None:
    async with pool.connection() as connection:
        rows = await connection.execute(
            "SELECT ledger_ends(%s, %s, 0, at) FROM unnest(%s::timestamptz[]) AS at",
            [period, zone, moments],
        )
        ends = [end for (end,) in await rows.fetchall()]
    window = Window("w", "requests", period, 1, zone)
    assert ends == [ends_of(window, moment) for moment in moments]


async def test_a_holder_that_dies_gives_its_reservation_back_and_still_settles(
    pool: Pool, clock: FakeClock, ledger: PostgresLedger
) -> None:
    window = Window("t", "tokens", "day", 10)
    calls = Window("c", "concurrent", "call", 1)
    dying = PostgresLedger(pool, clock=clock, lease_s=0.1)
    held = await dying.reserve(claim(window, calls, input_tokens=10))
    await refused(ledger, claim(window, calls, input_tokens=1))
    assert dying._heartbeat is not None
    dying._heartbeat.cancel()
    await wait_for(ledger, window, 0)

    taken = await ledger.reserve(claim(window, calls, input_tokens=4))
    await dying.settle(held, Amounts(input_tokens=6))

    assert await used(ledger, window, calls) == [10, 1]
    await ledger.settle(taken, None)
    assert await used(ledger, window, calls) == [6, 0]


async def test_a_holder_that_lives_keeps_its_reservation_beyond_the_lease(
    pool: Pool, clock: FakeClock, ledger: PostgresLedger
) -> None:
    window = Window("t", "requests", "day", 1)
    holder = PostgresLedger(pool, clock=clock, lease_s=0.3)
    await holder.reserve(claim(window))
    await asyncio.sleep(0.8)
    await refused(ledger, claim(window))
    await holder.aclose()
    assert await used(ledger, window) == [0]


async def test_the_clock_of_the_database_is_used_without_another(pool: Pool) -> None:
    exact = PostgresLedger(pool)
    before = datetime.now(UTC)
    held = await exact.reserve(claim(Window("r", "requests", "minute", 1)))
    assert held.uses[0].free_at is not None
    assert before <= held.uses[0].free_at - timedelta(minutes=1) <= datetime.now(UTC)
    await exact.aclose()


async def test_a_cancelled_reservation_is_given_back(pool: Pool, ledger: PostgresLedger) -> None:
    window = Window("r", "requests", "day", 100)
    for delay_s in [0, 0.0001, 0.0003, 0.0005, 0.001, 0.002] * 5:
        task = asyncio.create_task(ledger.reserve(claim(window)))
        await asyncio.sleep(delay_s)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await ledger.settle(await task, None)
    await wait_for(ledger, window, 0)
    assert not ledger._held


async def test_a_reservation_behind_a_lock_is_refused_for_good_once_given_up(
    pool: Pool, postgres_url: str
) -> None:
    window = Window("r", "requests", "day", 1)
    hasty = PostgresLedger(pool, timeout_s=0.3)
    async with await psycopg.AsyncConnection.connect(postgres_url) as blocker:
        await blocker.execute("SELECT pg_advisory_xact_lock(hashtextextended('groq:1', 0))")
        with pytest.raises(TimeoutError):
            await hasty.reserve(claim(window))
    async with asyncio.timeout(5):
        while hasty._doubtful:
            await hasty.abandon_doubtful()
    assert await used(hasty, window) == [0]
    await hasty.aclose()


async def test_a_batch_is_written_once_and_its_open_calls_settle(
    ledger: PostgresLedger, clock: FakeClock
) -> None:
    windows = (
        Window("r", "requests", "day", 100, LA),
        Window("t", "tokens", "minute", 600, "refill"),
        Window("c", "concurrent", "call", 5),
    )
    at = clock.now - timedelta(seconds=30)
    done = Spent(str(uuid4()), "groq:1", at, windows, (1, 400, 0))
    under_way = Spent(str(uuid4()), "groq:1", at, windows, (1, 350, 1), is_open=True)
    batch = Batch(str(uuid4()), "groq:1", (done, under_way))

    await ledger.restore(batch)
    await ledger.restore(batch)

    assert await used(ledger, *windows) == [2, 150, 1]
    held = Held(under_way.id, Claim("groq:1", windows, Amounts(input_tokens=350)), ())
    await ledger.settle(held, None)
    assert await used(ledger, windows[0], windows[2]) == [1, 0]


async def test_calls_without_limits_and_with_endless_ones_pass(ledger: PostgresLedger) -> None:
    endless = [replace(window, limit=float("inf")) for window in WINDOWS]
    await ledger.settle(await ledger.reserve(claim()), Amounts())
    held = await ledger.reserve(claim(*endless, input_tokens=1e6))
    await ledger.settle(held, Amounts(input_tokens=5))
    assert (await used(ledger, *endless))[:2] == [1, 5]


async def test_a_zone_that_the_database_does_not_know_is_an_error_of_that_claim(
    ledger: PostgresLedger,
) -> None:
    with pytest.raises(psycopg.DataError, match="Mars"):
        await ledger.reserve(claim(Window("m", "requests", "day", 1, "Mars/Base")))


async def test_nothing_is_left_of_what_has_ended(
    pool: Pool, ledger: PostgresLedger, clock: FakeClock
) -> None:
    window = Window("r", "requests", "minute", 1000)
    for _ in range(30):
        await ledger.settle(await ledger.reserve(claim(window)), Amounts())
        clock.move(10)
    async with pool.connection() as connection:
        rows = await connection.execute(
            "SELECT (SELECT count(*) FROM ledger_entries), (SELECT count(*) FROM "
            "ledger_reservations)"
        )
        assert await rows.fetchone() == (6, 0)


async def test_a_window_that_is_not_used_for_long_is_forgotten(
    pool: Pool, ledger: PostgresLedger, clock: FakeClock
) -> None:
    await ledger.settle(await ledger.reserve(claim(Window("old", "requests", "day", 9))), Amounts())
    clock.move(63 * 86_400)
    await ledger.beat()
    async with pool.connection() as connection:
        rows = await connection.execute("SELECT id FROM ledger_windows")
        assert await rows.fetchall() == []
        rows = await connection.execute("SELECT window_id FROM ledger_entries")
        assert await rows.fetchall() == []
