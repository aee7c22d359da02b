"""Advises, from how much of its day is used, whether to go easy on a model or to give it more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from potluck.quota.budgets import is_limited
from potluck.quota.windows import Unit, Use, Window

Status = Literal["REDUCE_USAGE", "CAN_INCREASE", "OPTIMAL"]

REDUCE_ABOVE = 0.8
INCREASE_BELOW = 0.3

_SPANS = {"day": timedelta(days=1), "month": timedelta(days=30)}
# A burst just after the start of a period is no pace: it is spread over a 24th of the period.
_SHORTEST_SHARE = 24


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and the window that says so: the fullest day, else the fullest month.

    `used_share` is from 0 up (over 1 when more was used than allowed). `exhausted_at` is when the
    window is used up if it goes on like this; None: quota comes back first. Without any day or
    month whose limit is known there is nothing to judge by: OPTIMAL, and all else None.
    """

    status: Status
    window: Window | None = None
    used_share: float | None = None
    exhausted_at: datetime | None = None
    resets_at: datetime | None = None

    @property
    def runs_out(self) -> bool:
        """Whether it is used up, or will be before quota comes back."""
        return self.exhausted_at is not None


NO_ADVICE = Advice("OPTIMAL")


def advise(
    uses: Sequence[Use], now: datetime, *, rate_per_s: Mapping[Unit, float] | None = None
) -> Advice:
    """The advice for one model on one account, from the uses of all its windows.

    The pace is `rate_per_s` of the window's unit where given, else the mean since the period began
    (rolling windows: since the oldest use that still counts).
    """
    judged = _judged(uses)
    if not judged:
        return NO_ADVICE
    use = max(judged, key=share_of)
    share = share_of(use)
    rate = rate_per_s.get(use.window.unit) if rate_per_s else None
    return Advice(
        status=_status(share),
        window=use.window,
        used_share=share,
        exhausted_at=_exhausted_at(use, now, _pace(use, now) if rate is None else rate),
        resets_at=use.resets_at,
    )


def share_of(use: Use) -> float:
    """How much of the window's limit is used; a limit of nothing is used up."""
    return use.used / use.window.limit if use.window.limit > 0 else 1.0


def _judged(uses: Sequence[Use]) -> list[Use]:
    limited = [use for use in uses if is_limited(use.window)]
    days = [use for use in limited if use.window.period == "day"]
    return days or [use for use in limited if use.window.period == "month"]


def _status(share: float) -> Status:
    if share > REDUCE_ABOVE:
        return "REDUCE_USAGE"
    return "CAN_INCREASE" if share < INCREASE_BELOW else "OPTIMAL"


def _pace(use: Use, now: datetime) -> float:
    """Units per second since the period began; 0 where it cannot be told."""
    begun = _begun(use, now)
    if begun is None:
        return 0.0
    shortest = _SPANS[use.window.period] / _SHORTEST_SHARE
    return use.used / max(now - begun, shortest).total_seconds()


def _begun(use: Use, now: datetime) -> datetime | None:
    match use.window.reset:
        case "rolling":
            return use.free_at - _SPANS[use.window.period] if use.free_at else None
        case "refill":
            # Its level tells what has not flowed back yet, not what was used.
            return None
        case zone:
            local = now.astimezone(ZoneInfo(zone))
            midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
            begun = midnight.replace(day=1) if use.window.period == "month" else midnight
            return begun.astimezone(UTC)


def _exhausted_at(use: Use, now: datetime, pace: float) -> datetime | None:
    if use.left <= 0:
        return now
    window = use.window
    if window.reset == "refill":
        pace -= window.limit / _SPANS[window.period].total_seconds()
    if pace <= 0:
        return None
    seconds = use.left / pace
    if seconds > 2 * _SPANS[window.period].total_seconds():
        return None
    exhausted_at = now + timedelta(seconds=seconds)
    # At an even pace a rolling window frees, from then on, as much as is used.
    back_at = use.free_at if window.reset == "rolling" else use.resets_at
    if window.reset == "refill" or back_at is None or exhausted_at < back_at:
        return exhausted_at
    return None
