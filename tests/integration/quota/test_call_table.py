"""The usage history in PostgreSQL."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from potluck.errors import DatabaseError
from potluck.pool import Pool, pool_to
from potluck.quota.call_hours import add_up_hours
from potluck.quota.call_memory import CallMemory
from potluck.quota.call_sums import PricedCall, add_up
from potluck.quota.call_table import CallTable
from potluck.quota.calls import CallRecord, Price
from potluck.quota.history import CallHistory

pytestmark = pytest.mark.integration

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def record(**facts: Any) -> CallRecord:
    given = {
        "at": NOON,
        "provider": "groq",
        "model": "m",
        "key_id": "k",
        "task_type": "general",
        "priority": "interactive",
        "outcome": "answered",
    }
    return CallRecord(**given | facts)


def call(number: int, *, cost_usd: float | None = None, **facts: Any) -> PricedCall:
    return PricedCall(number, record(**facts), cost_usd)


async def count(pool: Pool, query: str = "SELECT count(*) FROM calls") -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return int(row[0])


async def test_sums_are_those_of_the_plain_model(pool: Pool) -> None:
    calls = [
        call(
            number,
            cost_usd=0.25 if number % 3 else None,
            at=NOON - timedelta(hours=9 * number),
            model=f"m{number % 2}",
            outcome="cached" if number % 5 == 0 else "answered",
            tenant=f"t{number % 4}",
            input_tokens=number,
            output_tokens=2 * number,
            duration_s=0.5,
            parts=1 + number % 3,
        )
        for number in range(30)
    ]
    table = CallTable(pool)
    for start in range(0, 30, 7):
        await table.write(calls[start : start + 7])
    plain = sorted(add_up(calls), key=lambda s: (s.day, s.provider, s.model, s.outcome))
    assert await table.sums(date(2000, 1, 1)) == plain
    assert await table.sums(date(2026, 11, 20)) == [s for s in plain if s.day.day >= 20]


async def test_a_tenants_calls_are_his_own_and_those_of_his_parts(pool: Pool) -> None:
    tenants = ["ann", "ann:work", "anna", "ann/ada", "a_n", "", "an%"]
    calls = [call(number, tenant=tenant) for number, tenant in enumerate(tenants)]
    table, memory = CallTable(pool), CallMemory()
    for store in (table, memory):
        await store.write(calls)
        for tenant, expected in [("ann", 2), ("anna", 1), ("a_n", 1), ("", 1), ("x", 0), (None, 7)]:
            sums = await store.sums(NOON.date(), tenant)
            hours = await store.hours(NOON - timedelta(hours=1), tenant)
            assert sum(s.calls for s in sums) == sum(h.calls for h in hours) == expected, tenant


async def test_hours_are_those_of_the_plain_model(pool: Pool) -> None:
    calls = [
        call(
            number,
            cost_usd=0.25 if number % 3 else None,
            at=NOON - timedelta(minutes=37 * number),
            model=f"m{number % 2}",
            outcome="failed" if number % 5 == 0 else "answered",
            error=("minute" if number % 2 else "auth") if number % 5 == 0 else None,
            input_tokens=number,
            duration_s=0.5,
            parts=1 + number % 3,
        )
        for number in range(40)
    ]
    table = CallTable(pool)
    await table.write(calls)
    for since in (NOON - timedelta(days=9), NOON - timedelta(hours=7)):
        plain = add_up_hours(one for one in calls if one.record.at >= since)
        assert await table.hours(since) == plain
    assert len(plain) < len(calls)


async def test_a_row_holds_everything_of_its_call(pool: Pool) -> None:
    facts = {
        "outcome": "failed",
        "error": "minute",
        "first_token_s": 0.25,
        "duration_s": 1.5,
        "input_tokens": 7,
        "output_tokens": 8,
        "parts": 2,
        "tenant": "ann",
    }
    await CallTable(pool).write([call(4, cost_usd=0.5, **facts)])
    async with pool.connection() as connection:
        cursor = await connection.execute("SELECT * FROM calls")
        row = await cursor.fetchone()
        assert row is not None
        assert cursor.description is not None
        kept = dict(zip([column.name for column in cursor.description], row, strict=True))
    assert kept.pop("writer")
    assert kept == {
        "number": 4,
        "at": NOON,
        "provider": "groq",
        "model": "m",
        "key_id": "k",
        "task_type": "general",
        "priority": "interactive",
        "cost_usd": 0.5,
        **facts,
    }


async def test_a_batch_that_is_sent_again_counts_once(pool: Pool) -> None:
    table = CallTable(pool)
    await table.write([call(0), call(1)])
    await table.write([call(0), call(1), call(2)])
    assert (await table.sums(NOON.date()))[0].calls == 3
    await CallTable(pool).write([call(0)])
    assert (await table.sums(NOON.date()))[0].calls == 4, "another process counts for itself"


async def test_replicas_that_write_at_once_lose_nothing(pool: Pool) -> None:
    async def write(replica: int) -> None:
        table = CallTable(pool)
        for batch in range(10):
            models = range(5) if replica % 2 else reversed(range(5))
            await table.write([call(batch * 5 + m, model=f"m{m}") for m in models])

    await asyncio.gather(*(write(replica) for replica in range(6)))
    assert {s.model: s.calls for s in await CallTable(pool).sums(NOON.date())} == {
        f"m{m}": 60 for m in range(5)
    }
    assert await count(pool) == 300


async def test_old_calls_go_and_their_sums_stay(pool: Pool) -> None:
    table = CallTable(pool)
    await table.write([call(0, at=NOON - timedelta(days=100)), call(1)])
    await table.forget(NOON - timedelta(days=90))
    assert await count(pool) == 1
    assert [s.calls for s in await table.sums(date(2026, 1, 1))] == [1, 1]


async def test_texts_that_postgresql_cannot_hold_are_trimmed(pool: Pool) -> None:
    table = CallTable(pool)
    await table.write([call(0, model="a\0b", tenant="half \ud800 sign")])
    assert [s.model for s in await table.sums(NOON.date())] == ["ab"]


async def test_a_figure_that_no_column_can_hold_costs_only_its_own_call(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    table = CallTable(pool)
    await table.write([call(0), call(1, duration_s=float("nan")), call(2, input_tokens=10**30)])
    assert (await table.sums(NOON.date()))[0].calls == 1
    assert len(caplog.records) == 2


async def test_a_database_that_is_gone_is_told(postgres_url: str) -> None:
    async with pool_to(postgres_url) as pool:
        table = CallTable(pool)
    for attempt in (table.write([call(0)]), table.sums(NOON.date()), table.hours(NOON)):
        with pytest.raises(DatabaseError, match="usage history"):
            await attempt


async def test_every_call_that_was_noted_is_there_after_a_restart(pool: Pool) -> None:
    prices = {"groq/m": Price(input=1.0, output=0.0)}
    first = CallHistory.open(pool, prices=prices, clock=lambda: NOON)
    for _ in range(450):
        first.note(record(input_tokens=1_000_000))
    await first.aclose()
    second = CallHistory.open(pool, prices={}, clock=lambda: NOON)
    (one,) = await second.sums(7)
    await second.aclose()
    assert (one.calls, one.cost_usd) == (450, 450.0)
