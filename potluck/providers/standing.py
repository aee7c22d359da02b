"""How a model stands with its quota: what is left, how fast it goes, which key has more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from potluck.quota.budgets import is_limited
from potluck.quota.optimizer import advise
from potluck.quota.windows import Use

# The least share of what a model has left against the time left that still counts as plenty
_PLENTY = 0.7
_NEARLY = 0.25
SCARCE = 2
_FULL = 3
_SPANS = {"day": timedelta(days=1), "month": timedelta(days=30)}
# A model that is hardly used now goes before one that is: what a minute gives is lost with it
_BUSY = (0.1, 0.25, 0.5, 0.75)
# So long a day's share of time left is taken for the same
_LASTS = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """`spare`: 0 plenty, 1 less than its share of the time left, 2 nearly nothing, 3 no room now.

    `busy` is how much of its minute, or of the calls it takes at once, is used: 0 hardly any to 4
    nearly all. `left` is the smallest share that is left of any window. `runs_out` when the day's
    quota will not do at this pace. All this holds until `until`.
    """

    spare: int
    busy: int
    left: float
    runs_out: bool
    until: datetime


def stand(uses: Sequence[Use], now: datetime) -> Standing:
    """How a model stands whose windows are used like this."""
    spare, left, busy, until = 0, 1.0, 0.0, now + _LASTS
    for use in uses:
        if not is_limited(use.window):
            continue
        share = use.left / use.window.limit if use.window.limit > 0 else 0.0
        left = min(left, share)
        if use.window.period in ("minute", "call"):
            busy = max(busy, 1 - share)
        if _is_full(use, now):
            spare = _FULL
            until = min(until, use.free_at or until)
        elif use.window.period in _SPANS:
            spare = max(spare, _pace_class(use, share, now))
    advice = advise(uses, now)
    runs_out = advice.status == "REDUCE_USAGE" and advice.runs_out
    return Standing(spare, sum(busy > most for most in _BUSY), left, runs_out, until)


def _is_full(use: Use, now: datetime) -> bool:
    least = 1.0 if use.window.unit in {"requests", "concurrent"} else 0.0
    is_full = use.left <= 0 or use.left < least
    return is_full and (use.free_at is None or use.free_at > now)


def _pace_class(use: Use, left: float, now: datetime) -> int:
    span = _SPANS[use.window.period]
    time_left = 1.0
    if use.window.reset not in {"rolling", "refill"} and use.resets_at is not None:
        time_left = max(0.0, min(1.0, (use.resets_at - now) / span))
    if time_left <= 0 or left >= _PLENTY * time_left:
        return 0
    return 1 if left >= _NEARLY * time_left else SCARCE
