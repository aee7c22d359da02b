"""The hours report: calls over time, what answered, and what failed, for people and pages."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from potluck.errors import DatabaseError
from potluck.quota.call_hours import HourSum, hour_of
from potluck.quota.history import CallHistory
from potluck.quota.report import model_days, total
from potluck.quota.report_form import ModelDay, Totals


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class HourReport(_Form):
    """One hour."""

    hour: datetime
    """When it began."""
    totals: Totals


class FaultReport(_Form):
    """The calls to one model that failed in one way."""

    provider: str
    model: str
    kind: str
    """The kind of the fault, such as `minute`, `auth`, `overload`, `network`."""
    calls: int
    last_at: datetime
    answered_after: bool
    """The model has answered a call that began after the last of these."""


class HoursReport(_Form):
    """Calls over the last hours."""

    at: datetime
    calls_of: str | None = None
    """The user whose calls these are; null: everybody's."""
    hours: tuple[HourReport, ...]
    """Oldest first, the present one last; those without calls, too."""
    models: tuple[ModelDay, ...]
    """The same calls by model."""
    faults: tuple[FaultReport, ...]
    """The latest first."""
    missing: tuple[str, ...]
    """What could not be told, and why."""


async def build_hours(
    history: CallHistory,
    *,
    paid: Collection[str],
    now: datetime,
    hours: int,
    tenant: str | None = None,
) -> HoursReport:
    """The report of the last `hours` hours, the present one among them; see `build_report`.

    What a database that is away cannot tell is left out, and named in `missing`.
    """
    try:
        sums = await history.hours(hours, tenant)
    except DatabaseError as error:
        return HoursReport(
            at=now, calls_of=tenant, hours=(), models=(), faults=(), missing=(str(error),)
        )
    return HoursReport(
        at=now,
        calls_of=tenant,
        hours=_hours(sums, paid, now, hours),
        models=model_days(sums, paid),
        faults=_faults(sums),
        missing=(),
    )


def _hours(
    sums: Sequence[HourSum], paid: Collection[str], now: datetime, count: int
) -> tuple[HourReport, ...]:
    by_hour: dict[datetime, list[HourSum]] = {}
    for one in sums:
        by_hour.setdefault(hour_of(one.hour), []).append(one)
    wanted = [hour_of(now) - timedelta(hours=back) for back in reversed(range(count))]
    return tuple(
        HourReport(hour=hour, totals=total(by_hour.get(hour, ()), paid)) for hour in wanted
    )


def _faults(sums: Sequence[HourSum]) -> tuple[FaultReport, ...]:
    failed: dict[tuple[str, str, str], list[HourSum]] = {}
    answered: dict[tuple[str, str], datetime] = {}
    for one in sums:
        if one.outcome == "failed":
            failed.setdefault((one.provider, one.model, one.error or "unknown"), []).append(one)
        elif one.outcome == "answered":
            place = (one.provider, one.model)
            answered[place] = max(one.last_at, answered.get(place, one.last_at))
    told = [
        FaultReport(
            provider=provider,
            model=model,
            kind=kind,
            calls=sum(one.calls for one in those),
            last_at=(last_at := max(one.last_at for one in those)),
            answered_after=answered.get((provider, model), last_at) > last_at,
        )
        for (provider, model, kind), those in failed.items()
    ]
    return tuple(sorted(told, key=lambda fault: fault.last_at, reverse=True))
