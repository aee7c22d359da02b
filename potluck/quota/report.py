"""The quota report: what is left, what was used, what waits; for people, programs and pages."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

import psycopg

from potluck.errors import DatabaseError
from potluck.quota.budgets import is_account_wide, is_limited
from potluck.quota.call_sums import CallSum
from potluck.quota.history import CallHistory
from potluck.quota.optimizer import advise, share_of
from potluck.quota.parked_run import ParkedRun
from potluck.quota.parking import ParkedRuns
from potluck.quota.report_form import (
    AdviceReport,
    DayReport,
    ModelDay,
    ModelReport,
    OutageReport,
    ParkedReport,
    ProviderReport,
    QuotaReport,
    Totals,
    WindowReport,
)
from potluck.quota.windows import Deployment, Use


@dataclass(frozen=True, slots=True)
class AccountState:
    """A model on one account; `outage` is what stands against it, apart from its windows."""

    deployment: Deployment
    outage: OutageReport | None = None


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider as this process sees it; `accounts` only while it is on."""

    id: str
    on: bool
    reason: str
    paid: bool = False
    accounts: Sequence[AccountState] = ()
    key_url: str | None = None


class UsesSource(Protocol):
    """Knows the windows of a deployment."""

    async def uses(self, deployment: Deployment) -> list[Use]:
        """How much of each of its windows is used now."""


async def build_report(  # noqa: PLR0913 - keyword-only after the first
    states: Sequence[ProviderState],
    *,
    limits: UsesSource,
    history: CallHistory,
    parking: ParkedRuns,
    now: datetime,
    days: int = 1,
    tenant: str | None = None,
) -> QuotaReport:
    """The report of this moment, with the sums of the last `days` days.

    The sums are of everybody's calls, or with `tenant` of that one's; what is left is everybody's.
    What a database that is away cannot tell is left out, and named in `missing`.
    """
    missing: list[str] = []
    paid = {state.id for state in states if state.paid}
    try:
        told = _days(await history.sums(days, tenant), paid, history.today(), days)
    except DatabaseError as error:
        told = []
        missing.append(str(error))
    try:
        parked = [_parked(run) for run in await parking.list()]
    except psycopg.Error as error:
        parked = []
        missing.append(f"Parked runs cannot be read: {' '.join(str(error).split())}.")
    return QuotaReport(
        at=now,
        calls_of=tenant,
        providers=tuple([await _provider(state, limits, now) for state in states]),
        today=told[-1].totals if told else None,
        days=tuple(told),
        parked=tuple(parked),
        missing=tuple(missing),
    )


async def _provider(state: ProviderState, limits: UsesSource, now: datetime) -> ProviderReport:
    models = [
        _model(account, await limits.uses(account.deployment), now) for account in state.accounts
    ]
    return ProviderReport(
        id=state.id,
        on=state.on,
        reason=state.reason,
        paid=state.paid,
        models=tuple(models),
        key_url=state.key_url,
    )


def _model(account: AccountState, uses: Sequence[Use], now: datetime) -> ModelReport:
    full = [use for use in uses if is_full(use)]
    outage = account.outage if account.outage and account.outage.certain else None
    return ModelReport(
        id=account.deployment.model,
        key_id=account.deployment.key_id,
        available=not full and outage is None,
        back_at=_back_at(full, outage),
        windows=tuple(_window(use) for use in uses),
        advice=_advice(uses, now),
        outage=account.outage,
    )


def is_full(use: Use) -> bool:
    """Whether the window has no room for even a small call."""
    # A call needs one whole request, but at least a little of anything else
    least = 1.0 if use.window.unit in {"requests", "concurrent"} else 0.0
    return use.left < least or use.left <= 0


def _back_at(full: Sequence[Use], outage: OutageReport | None) -> datetime | None:
    """When all that is in the way is over; None when that is not known, or nothing is."""
    ends = [use.free_at for use in full]
    if outage is not None:
        ends.append(outage.until)
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _window(use: Use) -> WindowReport:
    window = use.window
    limited = is_limited(window)
    return WindowReport(
        id=window.id,
        unit=window.unit,
        period=window.period,
        account_wide=is_account_wide(window),
        limit=window.limit if limited else None,
        stated=window.stated if limited else None,
        used=use.used,
        left=use.left if limited else None,
        share=share_of(use) if limited else None,
        reset=window.reset,
        free_at=use.free_at,
        resets_at=use.resets_at,
        source=window.source,
    )


def _advice(uses: Sequence[Use], now: datetime) -> AdviceReport:
    advice = advise(uses, now)
    end = advice.exhausted_at
    return AdviceReport(
        status=advice.status,
        window=advice.window.id if advice.window else None,
        used_share=advice.used_share,
        # An estimate, which would be another one in every report
        exhausted_at=end.replace(second=0, microsecond=0) if end else None,
        resets_at=advice.resets_at,
    )


def _parked(run: ParkedRun) -> ParkedReport:
    return ParkedReport(
        thread_id=run.thread_id,
        run_id=run.run_id,
        resume_at=run.resume_at,
        since=run.since,
        reason=run.reason,
        waiting_for=run.waiting_for,
        priority=run.priority,
        times=run.times,
    )


def _days(
    sums: Sequence[CallSum], paid: Collection[str], today: date, count: int
) -> list[DayReport]:
    """Each of the last `count` days, those without calls too; today comes last."""
    wanted = [today - timedelta(days=back) for back in reversed(range(count))]
    return [_day(day, [one for one in sums if one.day == day], paid) for day in wanted]


def _day(day: date, sums: Sequence[CallSum], paid: Collection[str]) -> DayReport:
    return DayReport(day=day, totals=total(sums, paid), models=model_days(sums, paid))


def model_days(sums: Sequence[CallSum], paid: Collection[str]) -> tuple[ModelDay, ...]:
    """What the sums come to, model by model."""
    places: dict[tuple[str, str], list[CallSum]] = {}
    for one in sums:
        places.setdefault((one.provider, one.model), []).append(one)
    return tuple(
        ModelDay(provider=provider, model=model, totals=total(places[provider, model], paid))
        for provider, model in sorted(places)
    )


def total(sums: Iterable[CallSum], paid: Collection[str] = ()) -> Totals:
    """What the sums come to; calls to `paid` providers cost their list price, others saved it."""
    sums = list(sums)
    by_outcome = {
        outcome: sum(one.calls for one in sums if one.outcome == outcome)
        for outcome in ("answered", "cached", "failed", "refused", "cancelled")
    }
    sent = [one for one in sums if one.outcome not in {"cached", "refused"}]
    cached = [one for one in sums if one.outcome == "cached"]
    answered = [one for one in sums if one.outcome == "answered"]
    spent = sum(one.cost_usd for one in sent if one.provider in paid)
    duration_s = sum(one.duration_s for one in answered)
    return Totals(
        **by_outcome,
        sent=sum(one.calls for one in sent),
        input_tokens=sum(one.input_tokens for one in sent),
        output_tokens=sum(one.output_tokens for one in sent),
        cached_tokens=sum(one.input_tokens + one.output_tokens for one in cached),
        batches=sum(one.batches for one in answered),
        batched_steps=sum(one.batched_steps for one in answered),
        spent_usd=spent,
        saved_usd=sum(one.cost_usd for one in [*sent, *cached]) - spent,
        unpriced=sum(one.unpriced for one in [*answered, *cached]),
        mean_duration_s=duration_s / by_outcome["answered"] if by_outcome["answered"] else None,
    )
