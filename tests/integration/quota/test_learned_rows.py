"""What was learned survives a restart, and replicas share it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from potluck.pool import Pool
from potluck.quota.estimates import Estimates
from potluck.quota.learned import Learned
from potluck.quota.windows import Amounts, Deployment, StatedLimit, Window

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 10, 2, tzinfo=UTC)
GROQ = Deployment("groq", "gpt-oss", "k1")
COHERE = StatedLimit(
    "requests", "month", "header y", 1000.0, 400.0, NOW + timedelta(days=3), account_wide=True,
    from_header=True,
)  # fmt: skip


def clock() -> datetime:
    return NOW


def header(limit: float) -> StatedLimit:
    return StatedLimit("requests", "day", "header x", limit, 1.0, from_header=True)


def windows(learned: Learned, checked_on: date | None = None) -> tuple[Window, ...]:
    return learned.apply(GROQ, (), checked_on=checked_on, capped_by_user=frozenset())


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 # another replica's task is waited for
            await asyncio.sleep(0.01)


async def test_lessons_survive_a_restart(pool: Pool) -> None:
    learned = await Learned.open(pool, clock=clock)
    learned.note(GROQ, [header(50), COHERE], uses=[])
    before = windows(learned)
    await learned.aclose()

    again = await Learned.open(pool, clock=clock)
    assert len(before) == 2
    assert sorted(map(repr, windows(again))) == sorted(map(repr, before))
    assert sorted(map(repr, again.lessons())) == sorted(map(repr, learned.lessons()))
    await again.aclose()


async def test_they_are_written_soon_without_being_asked_for(pool: Pool) -> None:
    learned = await Learned.open(pool, clock=clock)
    learned.note(GROQ, [header(50)], uses=[])

    async def rows() -> int:
        async with pool.connection() as connection:
            found = await connection.execute("SELECT max_use FROM learned_limits")
            return len(await found.fetchall())

    async with asyncio.timeout(5):
        while not await rows():  # noqa: ASYNC110 # a task behind is waited for
            await asyncio.sleep(0.02)
    await learned.aclose()


async def test_replicas_share_them(pool: Pool) -> None:
    one = await Learned.open(pool, clock=clock, refresh_s=0.05)
    two = await Learned.open(pool, clock=lambda: NOW + timedelta(seconds=5), refresh_s=0.05)
    one.note(GROQ, [header(50)], uses=[])
    await eventually(lambda: [w.limit for w in windows(two)] == [50])
    two.note(GROQ, [header(20)], uses=[])
    await eventually(lambda: [w.limit for w in windows(one)] == [20])
    await one.aclose()
    await two.aclose()


async def test_what_one_replica_forgets_all_forget(pool: Pool) -> None:
    days = [0]
    one = await Learned.open(pool, clock=lambda: NOW + timedelta(days=days[0]), refresh_s=0.05)
    two = await Learned.open(pool, clock=clock, refresh_s=0.05)
    one.note(GROQ, [header(50)], uses=[])
    await eventually(lambda: len(two.lessons()) == 1)
    days[0] = 1
    assert windows(one, checked_on=date(2026, 11, 22)) == ()
    await eventually(lambda: two.lessons() == [])
    await one.aclose()
    await two.aclose()


async def test_a_late_write_does_not_undo_a_later_word(pool: Pool) -> None:
    late = await Learned.open(pool, clock=clock)
    early = await Learned.open(pool, clock=lambda: NOW + timedelta(minutes=1))
    late.note(GROQ, [header(50)], uses=[])
    early.note(GROQ, [header(20)], uses=[])
    await early.aclose()
    await late.aclose()
    again = await Learned.open(pool, clock=clock)
    assert [lesson.limit for lesson in again.lessons()] == [20]
    await again.aclose()


async def test_corrections_of_estimates_survive_a_restart(pool: Pool) -> None:
    estimate = Amounts(input_tokens=1000, output_tokens=512)
    estimates = await Estimates.open(pool, clock=clock)
    for _ in range(20):
        estimates.note("groq/gpt-oss", estimate, Amounts(1300, 100))
    found = estimates.correct("groq/gpt-oss", estimate)
    await estimates.aclose()

    again = await Estimates.open(pool, clock=clock)
    assert again.correct("groq/gpt-oss", estimate) == found
    assert found.input_tokens > 1150
    await again.aclose()
