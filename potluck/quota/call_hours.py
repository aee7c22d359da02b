"""What calls come to, added up for an hour, a model, an outcome and the kind of its fault."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from potluck.quota.call_sums import CallSum, PricedCall, add_up


@dataclass(frozen=True, slots=True, kw_only=True)
class HourSum(CallSum):
    """The calls of one hour (UTC) to one model with one outcome.

    `error` is the kind of fault of failed ones, `last_at` when the last of them began.
    """

    hour: datetime
    last_at: datetime
    error: str | None = None


def hour_of(at: datetime) -> datetime:
    """When its hour began, by UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def add_up_hours(calls: Iterable[PricedCall]) -> list[HourSum]:
    """The sums of these calls, oldest first."""
    together: dict[tuple[datetime, str, str, str, str], list[PricedCall]] = {}
    for call in calls:
        record = call.record
        place = (
            hour_of(record.at),
            record.provider,
            record.model,
            record.outcome,
            record.error or "",
        )
        together.setdefault(place, []).append(call)
    return [_sum_of(together[place]) for place in sorted(together)]


def _sum_of(calls: list[PricedCall]) -> HourSum:
    (one,) = add_up(calls)
    return HourSum(
        **{field.name: getattr(one, field.name) for field in fields(CallSum)},
        hour=hour_of(calls[0].record.at),
        last_at=max(call.record.at for call in calls),
        error=calls[0].record.error,
    )
