"""The quota report over PostgreSQL, with two replicas on one database."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from potluck.pool import Pool
from potluck.quota.budgets import Budgets, Rules, Stated
from potluck.quota.calls import CallRecord, Price
from potluck.quota.history import CallHistory
from potluck.quota.limiter import QuotaLimiter
from potluck.quota.limits import Limits, Resets
from potluck.quota.parked_run import ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.report import AccountState, ProviderState, build_report
from potluck.quota.report_form import QuotaReport
from potluck.quota.windows import Amounts, Deployment

pytestmark = pytest.mark.integration

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MODEL = Deployment("groq", "m")
RULES = Rules(
    "groq",
    models={"m": Stated(Limits(requests_per_day=100, tokens_per_day=10_000))},
    resets=Resets(day="UTC"),
)


class Replica:
    """One server's part in it."""

    def __init__(self, pool: Pool) -> None:
        ledger = PostgresLedger(pool, clock=lambda: NOON)
        prices = {"groq/m": Price(input=1.0, output=1.0)}
        self.ledger = ledger
        self.limiter = QuotaLimiter(Budgets([RULES]), ledger, clock=lambda: NOON)
        self.history = CallHistory.open(pool, prices=prices, clock=lambda: NOON)
        self.parking = ParkedRuns(pool, clock=lambda: NOON)

    async def call(self) -> None:
        held = await self.limiter.reserve(MODEL, Amounts(input_tokens=50, output_tokens=50))
        await held.commit(Amounts(input_tokens=30, output_tokens=10))
        self.history.note(
            CallRecord(
                at=NOON,
                provider="groq",
                model="m",
                key_id="",
                task_type="general",
                priority="interactive",
                outcome="answered",
                input_tokens=30,
                output_tokens=10,
            )
        )

    async def report(self) -> QuotaReport:
        state = ProviderState("groq", on=True, reason="key set", accounts=(AccountState(MODEL),))
        return await build_report(
            [state], limits=self.limiter, history=self.history, parking=self.parking, now=NOON
        )

    async def aclose(self) -> None:
        await self.history.aclose()
        await self.limiter.aclose()
        await self.ledger.aclose()


async def test_any_replica_tells_what_all_have_used(pool: Pool) -> None:
    one, other = Replica(pool), Replica(pool)
    await asyncio.gather(*(replica.call() for replica in [one, other] for _ in range(20)))
    await one.parking.note(
        ParkedRun("thread", "run", NOON + timedelta(hours=1), NOON, "all are out")
    )
    await one.history.flush()

    report = await other.report()

    windows = {window.id: window for window in report.providers[0].models[0].windows}
    assert windows["groq:/m:requests/day"].used == 40
    assert windows["groq:/m:tokens/day"].used == 1600
    assert report.today is not None
    assert (report.today.sent, report.today.input_tokens) == (40, 1200)
    assert report.today.saved_usd == pytest.approx(40 * 40 / 1_000_000)
    assert [run.thread_id for run in report.parked] == ["thread"]
    assert report.missing == ()
    for replica in (one, other):
        await replica.aclose()


async def test_a_used_up_day_is_told_with_its_end(pool: Pool) -> None:
    replica = Replica(pool)
    await asyncio.gather(*(replica.call() for _ in range(99)))
    await replica.call()
    model = (await replica.report()).providers[0].models[0]
    assert (model.available, model.back_at) == (False, datetime(2026, 11, 22, tzinfo=UTC))
    assert (model.advice.status, model.advice.exhausted_at) == ("REDUCE_USAGE", NOON)
    await replica.aclose()
