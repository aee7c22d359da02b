"""What calls come to, added up for a day, a model and an outcome."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from potluck.quota.calls import CallRecord, Outcome


@dataclass(frozen=True, slots=True)
class PricedCall:
    """A call with its number in this process and its cost at list price (None: not known)."""

    number: int
    record: CallRecord
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class CallSum:
    """The calls of one UTC day to one model with one outcome.

    `cost_usd` is at list price, without the `unpriced` calls. `batches` are calls that answered
    several steps of a plan, `batched_steps` those steps.
    """

    day: date
    provider: str
    model: str
    outcome: Outcome
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    duration_s: float = 0.0
    batches: int = 0
    batched_steps: int = 0


def day_of(at: datetime) -> date:
    """The UTC day."""
    return at.astimezone(UTC).date()


def add_up(calls: Iterable[PricedCall], before: Iterable[CallSum] = ()) -> list[CallSum]:
    """The sums of these calls, added to those that were there before."""
    sums = {_place(one): one for one in before}
    for call in calls:
        new = _sum_of(call)
        old = sums.get(_place(new))
        sums[_place(new)] = _plus(old, new) if old else new
    return list(sums.values())


def _place(one: CallSum) -> tuple[date, str, str, Outcome]:
    return (one.day, one.provider, one.model, one.outcome)


def _sum_of(call: PricedCall) -> CallSum:
    record = call.record
    batched = record.parts > 1
    return CallSum(
        day=day_of(record.at),
        provider=record.provider,
        model=record.model,
        outcome=record.outcome,
        calls=1,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cost_usd=call.cost_usd or 0.0,
        unpriced=int(call.cost_usd is None),
        duration_s=record.duration_s,
        batches=int(batched),
        batched_steps=record.parts if batched else 0,
    )


def _plus(left: CallSum, right: CallSum) -> CallSum:
    return CallSum(
        day=left.day,
        provider=left.provider,
        model=left.model,
        outcome=left.outcome,
        calls=left.calls + right.calls,
        input_tokens=left.input_tokens + right.input_tokens,
        output_tokens=left.output_tokens + right.output_tokens,
        cost_usd=left.cost_usd + right.cost_usd,
        unpriced=left.unpriced + right.unpriced,
        duration_s=left.duration_s + right.duration_s,
        batches=left.batches + right.batches,
        batched_steps=left.batched_steps + right.batched_steps,
    )
