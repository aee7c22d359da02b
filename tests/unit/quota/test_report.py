"""The quota report, built from stand-ins for limiter, history and parking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from potluck.errors import DatabaseError
from potluck.quota.budgets import NO_LIMIT, window_id
from potluck.quota.call_memory import CallMemory
from potluck.quota.call_sums import CallSum
from potluck.quota.calls import CallRecord, Price
from potluck.quota.history import CallHistory
from potluck.quota.parked_run import ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.quota.report import AccountState, ProviderState, build_report, total
from potluck.quota.report_form import ModelReport, OutageReport, QuotaReport
from potluck.quota.windows import Deployment, Period, Unit, Use, Window

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
GROQ = Deployment("groq", "m", "k1")


@dataclass
class Uses:
    by_deployment: dict[Deployment, list[Use]] = field(default_factory=dict)

    async def uses(self, deployment: Deployment) -> list[Use]:
        return self.by_deployment.get(deployment, [])


def use(
    used: float,
    limit: float,
    *,
    unit: Unit = "requests",
    period: Period = "day",
    model: str | None = "m",
    free_at: datetime | None = None,
) -> Use:
    name = window_id("groq:k1", model, unit, period)
    window = Window(name, unit, period, limit, "UTC", stated=limit)
    return Use(window, used, free_at, MIDNIGHT)


def on(*accounts: AccountState, paid: bool = False, name: str = "groq") -> ProviderState:
    return ProviderState(name, on=True, reason="key set", paid=paid, accounts=accounts)


@dataclass
class Facts:
    """Everything that a report is built from."""

    states: Sequence[ProviderState] = (on(AccountState(GROQ)),)
    uses: Uses = field(default_factory=Uses)
    history: CallHistory = field(
        default_factory=lambda: CallHistory(
            CallMemory(), prices={"groq/m": Price(input=1.0, output=1.0)}, clock=lambda: NOON
        )
    )
    parking: ParkedRuns = field(default_factory=ParkedRuns)

    async def report(self, days: int = 1) -> QuotaReport:
        return await build_report(
            self.states,
            limits=self.uses,
            history=self.history,
            parking=self.parking,
            now=NOON,
            days=days,
        )

    async def model(self, *uses: Use, outage: OutageReport | None = None) -> ModelReport:
        self.uses.by_deployment[GROQ] = list(uses)
        self.states = (on(AccountState(GROQ, outage)),)
        (provider,) = (await self.report()).providers
        return provider.models[0]

    def call(self, **facts: Any) -> None:
        given: dict[str, Any] = {
            "at": NOON,
            "provider": "groq",
            "model": "m",
            "key_id": "k1",
            "task_type": "general",
            "priority": "interactive",
            "outcome": "answered",
        }
        self.history.note(CallRecord(**given | facts))


@pytest.fixture
def facts() -> Facts:
    return Facts()


async def test_a_window_tells_limit_use_and_rest(facts: Facts) -> None:
    model = await facts.model(use(30, 100))
    (window,) = model.windows
    assert (window.limit, window.used, window.left, window.share) == (100, 30, 70, 0.3)
    assert (window.unit, window.period, window.account_wide) == ("requests", "day", False)
    assert (window.source, window.resets_at) == ("catalog", MIDNIGHT)
    assert (model.id, model.key_id, model.available, model.back_at) == ("m", "k1", True, None)


async def test_an_accounts_window_is_marked(facts: Facts) -> None:
    assert (await facts.model(use(1, 9, model=None))).windows[0].account_wide


async def test_a_window_without_a_known_limit_has_none(facts: Facts) -> None:
    model = await facts.model(use(30, NO_LIMIT))
    (window,) = model.windows
    assert (window.limit, window.left, window.share, window.used) == (None, None, None, 30)
    assert model.available


async def test_the_advice_is_the_optimisers(facts: Facts) -> None:
    advice = (await facts.model(use(90, 100))).advice
    assert (advice.status, advice.used_share) == ("REDUCE_USAGE", 0.9)
    assert advice.window == "groq:k1/m:requests/day"
    assert advice.exhausted_at == NOON + timedelta(hours=12) / 9


async def test_a_full_window_keeps_a_model_until_the_last_of_them_has_room(facts: Facts) -> None:
    minute = use(5, 5, period="minute", free_at=NOON + timedelta(seconds=20))
    tokens = use(900, 900, unit="tokens", free_at=NOON + timedelta(hours=1))
    model = await facts.model(minute, tokens, use(1, 10))
    assert (model.available, model.back_at) == (False, NOON + timedelta(hours=1))


async def test_half_a_request_is_none_but_a_few_tokens_are_some(facts: Facts) -> None:
    assert not (await facts.model(use(9.5, 10))).available
    assert (await facts.model(use(899.5, 900, unit="tokens"))).available


async def test_an_outage_keeps_a_model_only_when_it_is_certain(facts: Facts) -> None:
    until = NOON + timedelta(minutes=5)
    certain = OutageReport(kind="day", reason="used up", until=until, certain=True)
    model = await facts.model(outage=certain)
    assert (model.available, model.back_at, model.outage) == (False, until, certain)
    doubtful = certain.model_copy(update={"certain": False})
    assert (await facts.model(outage=doubtful)).available


async def test_nobody_knows_when_a_model_without_an_end_is_back(facts: Facts) -> None:
    gone = OutageReport(kind="model_gone", reason="gone", until=None, certain=True)
    full = use(5, 5, free_at=NOON + timedelta(hours=1))
    assert (await facts.model(full, outage=gone)).back_at is None


async def test_quota_is_out_when_no_model_that_is_on_can_be_asked(facts: Facts) -> None:
    other = Deployment("mistral", "m", "")
    facts.states = (
        on(AccountState(GROQ)),
        on(AccountState(other), name="mistral"),
        ProviderState("cohere", on=False, reason="COHERE_API_KEY is not set"),
    )
    facts.uses.by_deployment = {GROQ: [use(5, 5)]}
    assert not (await facts.report()).is_out
    facts.uses.by_deployment[other] = [use(1, 1)]
    report = await facts.report()
    assert report.is_out
    assert (report.providers[2].on, report.providers[2].models) == (False, ())
    facts.states = facts.states[2:]
    assert not (await facts.report()).is_out, "where nobody is on, no quota is out"


async def test_calls_are_counted_by_outcome(facts: Facts) -> None:
    for outcome, times in [("answered", 5), ("failed", 4), ("cancelled", 3), ("refused", 2)]:
        for _ in range(times):
            facts.call(outcome=outcome, error=None if outcome == "answered" else "minute")
    facts.call(outcome="cached")
    today = (await facts.report()).today
    assert today is not None
    assert (today.answered, today.failed, today.cancelled) == (5, 4, 3)
    assert (today.refused, today.cached, today.sent) == (2, 1, 12)


async def test_tokens_of_the_cache_are_saved_not_used(facts: Facts) -> None:
    facts.call(input_tokens=100, output_tokens=20, duration_s=3.0)
    facts.call(input_tokens=100, output_tokens=20, outcome="cached", duration_s=0.001)
    today = (await facts.report()).today
    assert today is not None
    assert (today.input_tokens, today.output_tokens, today.cached_tokens) == (100, 20, 120)
    assert today.mean_duration_s == 3.0


async def test_what_free_tiers_and_the_cache_would_have_cost_is_saved(facts: Facts) -> None:
    facts.call(input_tokens=1_000_000)
    facts.call(input_tokens=2_000_000, outcome="cached")
    facts.call(model="of no known price", input_tokens=1_000_000)
    today = (await facts.report()).today
    assert today is not None
    assert (today.saved_usd, today.spent_usd, today.unpriced) == (3.0, 0.0, 1)


async def test_a_paid_provider_costs_but_its_cached_answers_do_not(facts: Facts) -> None:
    facts.states = (on(AccountState(GROQ), paid=True),)
    facts.call(input_tokens=1_000_000)
    facts.call(input_tokens=2_000_000, outcome="cached")
    today = (await facts.report()).today
    assert today is not None
    assert (today.saved_usd, today.spent_usd) == (2.0, 1.0)


async def test_batches_tell_the_steps_that_they_answered(facts: Facts) -> None:
    facts.call(parts=3)
    facts.call(parts=2)
    facts.call()
    today = (await facts.report()).today
    assert today is not None
    assert (today.sent, today.batches, today.batched_steps) == (3, 2, 5)


def test_nothing_adds_up_to_nothing() -> None:
    none = total([])
    assert none.sent == none.saved_usd == 0
    assert none.mean_duration_s is None


async def test_days_come_whole_today_last(facts: Facts) -> None:
    facts.call()
    facts.call(model="other")
    facts.call(at=NOON - timedelta(days=2))
    facts.call(at=NOON - timedelta(days=3))
    report = await facts.report(days=3)
    assert [(day.day.day, day.totals.sent) for day in report.days] == [(19, 1), (20, 0), (21, 2)]
    assert [(m.provider, m.model, m.totals.sent) for m in report.days[2].models] == [
        ("groq", "m", 1),
        ("groq", "other", 1),
    ]
    assert report.today == report.days[2].totals


async def test_parked_runs_are_listed(facts: Facts) -> None:
    run = ParkedRun("thread", "run", NOON, NOON - timedelta(hours=1), "all out", ("groq/m",))
    await facts.parking.note(run)
    (parked,) = (await facts.report()).parked
    assert (parked.thread_id, parked.resume_at, parked.reason) == ("thread", NOON, "all out")
    assert (parked.waiting_for, parked.times) == (("groq/m",), 1)


class BrokenStore(CallMemory):
    async def sums(self, since: date, tenant: str | None = None) -> list[CallSum]:  # noqa: ARG002 - it fails
        raise DatabaseError(f"The usage history since {since} cannot be reached.")


class BrokenParking(ParkedRuns):
    async def list(self) -> list[ParkedRun]:
        raise psycopg.OperationalError("gone")


async def test_without_the_database_the_windows_are_told_and_the_lack_is_named() -> None:
    history = CallHistory(BrokenStore(), prices={}, clock=lambda: NOON)
    facts = Facts(history=history, parking=BrokenParking())
    facts.uses.by_deployment[GROQ] = [use(1, 10)]
    report = await facts.report()
    assert report.providers[0].models[0].windows[0].used == 1
    assert (report.today, report.days, report.parked) == (None, (), ())
    assert len(report.missing) == 2


async def test_a_report_survives_the_wire(facts: Facts) -> None:
    facts.call()
    outage = OutageReport(kind="day", reason="used up", until=NOON, certain=True)
    await facts.model(use(1, 10), use(1, NO_LIMIT, unit="tokens"), outage=outage)
    report = await facts.report(days=2)
    assert QuotaReport.model_validate_json(report.model_dump_json()) == report
