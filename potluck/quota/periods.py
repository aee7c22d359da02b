"""When a use that counts now stops counting: rolling periods, calendar periods, refills."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from potluck.quota.windows import Period, Window

Kind = Literal["entries", "refill", "call"]

MONTH_DAYS = 30
_SPANS: dict[Period, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "month": timedelta(days=MONTH_DAYS),
}
# Uses of a long rolling period are summed in slots, which is less than 0.1 % too careful.
_SLOTS: dict[Period, timedelta] = {"day": timedelta(minutes=1), "month": timedelta(minutes=30)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kind(window: Window) -> Kind:
    """How use is kept: as entries that end, as a level that sinks, or as calls under way."""
    if window.unit == "concurrent" or window.period == "call":
        return "call"
    return "refill" if window.reset == "refill" else "entries"


def is_calendar(window: Window) -> bool:
    """Whether all use ends at once, when a period of the calendar does."""
    return kind(window) == "entries" and window.reset != "rolling"


def flow(window: Window) -> float:
    """How much of a refilling window flows back in one period, which is all that it ever holds."""
    return window.limit if window.flows is None else window.flows


def flow_per_s(window: Window) -> float:
    """How much of a refilling window flows back each second; 0 for all others."""
    if kind(window) != "refill" or not math.isfinite(window.limit):
        return 0.0
    return flow(window) / _SPANS[window.period].total_seconds()


def countable(window: Window, at_least: float) -> float:
    """What a provider says is used, as the window can count it.

    Of a refilling window of which policy keeps a part, no more is used than is ours to use.
    """
    return min(at_least, flow(window)) if kind(window) == "refill" else at_least


def ends_of(window: Window, at: datetime) -> datetime:
    """The moment from which on a use at `at` no longer counts. For windows of entries only."""
    if window.reset != "rolling":
        return calendar_end(window.period, window.reset, at)
    slot = _SLOTS.get(window.period)
    if slot is not None:
        at = _EPOCH + ((at - _EPOCH) // slot + 1) * slot
    return at + _SPANS[window.period] + timedelta(seconds=window.guard_s)


def calendar_end(period: Period, zone: str, at: datetime) -> datetime:
    """The end, in UTC, of the calendar's minute, hour, day or month at `at` in `zone`."""
    local = at.astimezone(ZoneInfo(zone))
    if period in ("minute", "hour"):
        offset = local.utcoffset() or timedelta()
        span = _SPANS[period]
        return _EPOCH + ((at + offset - _EPOCH) // span + 1) * span - offset
    return _first_instant(_next_start(period, local.date()), zone)


def _next_start(period: Period, day: date) -> date:
    if period == "day":
        return day + timedelta(days=1)
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


@lru_cache(maxsize=1024)
def _first_instant(day: date, zone: str) -> datetime:
    """Where clocks go back over midnight the first of the two; where they skip it, the skip."""
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Columns:
    """Windows as the ledger's SQL takes them: an array for each property.

    A window that comes to be kept in another way (such as refilling, once rolling) starts anew.
    """

    ids: list[str]
    periods: list[str]
    resets: list[str]
    rates: list[float]
    guards: list[float]
    limits: list[float]


@lru_cache(maxsize=4096)
def columns(windows: tuple[Window, ...]) -> Columns:
    """The arrays for these windows, in their order. Raises ValueError when one comes twice."""
    refuse_twins(windows)
    return Columns(
        [key(w) for w in windows],
        [w.period for w in windows],
        ["call" if kind(w) == "call" else w.reset for w in windows],
        [flow_per_s(w) for w in windows],
        [float(w.guard_s) for w in windows],
        [float(w.limit) for w in windows],
    )


def key(window: Window) -> str:
    """The name under which the window's use is kept."""
    way = kind(window)
    return window.id if way == "entries" else f"{window.id} ({way})"


def refuse_twins(windows: Sequence[Window]) -> None:
    """Raise ValueError when two of the windows would be kept under one name."""
    if len({window.id for window in windows}) < len(windows):
        raise ValueError(f"a window comes twice in {[window.id for window in windows]}")
