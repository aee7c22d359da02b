"""Servers whose clocks differ share one ledger, which goes by the database's time."""

from datetime import UTC, datetime, timedelta

import pytest

from potluck.errors import ErrorKind
from potluck.pool import Pool
from potluck.quota.budgets import GUARD_S, Budgets, Rules, Stated
from potluck.quota.limiter import QuotaLimiter, RefusedError
from potluck.quota.limits import Limits
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.windows import Amounts, Deployment

pytestmark = pytest.mark.integration

M = Deployment("p", "m", "key-a")
MARGIN_S = 10.0


async def test_together_they_admit_no_more_than_there_is_and_tell_the_same_time(
    pool: Pool,
) -> None:
    rules = Rules("p", models={"m": Stated(Limits(requests_per_minute=3))})
    ledgers = [PostgresLedger(pool) for _ in range(3)]
    limiters = [
        QuotaLimiter(
            Budgets([rules]),
            ledger,
            clock=lambda hours=hours: datetime.now(UTC) + timedelta(hours=hours),
        )
        for ledger, hours in zip(ledgers, (0, -2, 2), strict=True)
    ]
    began = datetime.now(UTC)
    for limiter in limiters:
        call = await limiter.reserve(M, Amounts())
        await call.commit(Amounts())
    for limiter in (*limiters, *reversed(limiters)):
        with pytest.raises(RefusedError) as refused:
            await limiter.reserve(M, Amounts())
        assert refused.value.kind is ErrorKind.MINUTE
    with pytest.raises(RefusedError) as refused:
        await limiters[0].reserve(M, Amounts())
    assert refused.value.fault.until is not None
    told_s = (refused.value.fault.until - began).total_seconds()
    assert 60 + GUARD_S <= told_s <= 60 + GUARD_S + MARGIN_S
    for limiter, ledger in zip(limiters, ledgers, strict=True):
        await limiter.aclose()
        await ledger.aclose()
