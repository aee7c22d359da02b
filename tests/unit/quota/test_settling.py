"""What a call used is written down beside its caller, and before the next call is admitted."""

import asyncio
from datetime import UTC, datetime

import pytest

from potluck.quota.budgets import Budgets, Rules, Stated
from potluck.quota.ledger import Held
from potluck.quota.limiter import QuotaLimiter, RefusedError
from potluck.quota.limits import Limits
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.windows import Amounts, Deployment

M = Deployment("p", "m")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class SlowLedger(MemoryLedger):
    """Settles when it is let to."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.may_settle = asyncio.Event()

    async def settle(self, held: Held, used: Amounts | None) -> None:
        await self.may_settle.wait()
        await super().settle(held, used)


@pytest.fixture
def ledger() -> SlowLedger:
    return SlowLedger()


@pytest.fixture
def limiter(ledger: SlowLedger) -> QuotaLimiter:
    rules = Rules("p", models={"m": Stated(Limits(tokens_per_minute=100))})
    return QuotaLimiter(Budgets([rules]), ledger, clock=lambda: NOW)


async def test_a_caller_does_not_wait_until_it_is_written(
    limiter: QuotaLimiter, ledger: SlowLedger
) -> None:
    held = await limiter.reserve(M, Amounts(input_tokens=50))
    await asyncio.wait_for(held.commit(Amounts(input_tokens=60)), 1)
    ledger.may_settle.set()
    await limiter.aclose()
    assert {use.used for use in await limiter.uses(M) if use.window.limit == 100} == {60}


async def test_the_next_call_is_admitted_by_what_the_last_one_used(
    limiter: QuotaLimiter, ledger: SlowLedger
) -> None:
    held = await limiter.reserve(M, Amounts(input_tokens=50))
    await held.commit(Amounts(input_tokens=100))
    following = asyncio.create_task(limiter.reserve(M, Amounts(input_tokens=1)))
    await asyncio.sleep(0)
    ledger.may_settle.set()
    with pytest.raises(RefusedError):
        await following


async def test_nor_is_it_refused_for_room_that_is_just_given_back(
    limiter: QuotaLimiter, ledger: SlowLedger
) -> None:
    held = await limiter.reserve(M, Amounts(input_tokens=100))
    await held.commit(Amounts(input_tokens=1))
    following = asyncio.create_task(limiter.reserve(M, Amounts(input_tokens=90)))
    await asyncio.sleep(0)
    ledger.may_settle.set()
    assert await following


async def test_uses_that_are_asked_for_have_it(limiter: QuotaLimiter, ledger: SlowLedger) -> None:
    held = await limiter.reserve(M, Amounts(input_tokens=50))
    await held.commit(Amounts(input_tokens=7))
    asking = asyncio.create_task(limiter.uses(M))
    await asyncio.sleep(0)
    ledger.may_settle.set()
    assert {use.used for use in await asking if use.window.limit == 100} == {7}
