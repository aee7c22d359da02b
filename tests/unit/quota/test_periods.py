"""When uses end, by the calendar of a zone and by the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.quota.periods import columns, ends_of
from potluck.quota.windows import Period, Window

LA = "America/Los_Angeles"
MOMENTS = st.integers(1_700_000_000, 1_900_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
ZONES = st.sampled_from(
    [LA, "UTC", "America/Havana", "Africa/Cairo", "Asia/Kolkata", "Atlantic/Azores", "Asia/Beirut"]
)


def end(period: Period, reset: str, at: datetime, **more: float) -> datetime:
    return ends_of(Window("w", "requests", period, 1, reset, **more), at)


def test_a_rolling_minute_ends_to_the_microsecond() -> None:
    at = datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
    assert end("minute", "rolling", at) == at + timedelta(minutes=1)


def test_a_guard_keeps_a_use_for_longer_than_the_period() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert end("minute", "rolling", at, guard_s=1.5) == at + timedelta(seconds=61.5)


@pytest.mark.parametrize(("period", "span_s"), [("day", 86_400), ("month", 30 * 86_400)])
@given(at=MOMENTS)
def test_a_long_rolling_period_is_never_too_short_and_at_most_a_thousandth_too_long(
    period: Period, span_s: int, at: datetime
) -> None:
    lasted_s = (end(period, "rolling", at) - at).total_seconds()
    assert span_s <= lasted_s <= span_s * 1.001


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-07", 24), ("2026-03-08", 23), ("2026-11-01", 25)]
)
def test_a_day_is_as_long_as_the_clocks_of_its_zone_make_it(day: str, hours: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(LA))
    start = midnight.astimezone(UTC)
    assert end("day", LA, start) - start == timedelta(hours=hours)


def test_a_month_ends_at_the_first_of_the_next_in_its_zone() -> None:
    at = datetime(2026, 2, 1, 7, 59, tzinfo=UTC)
    assert end("month", LA, at) == datetime(2026, 2, 1, 8, tzinfo=UTC)
    assert end("month", "UTC", at) == datetime(2026, 3, 1, tzinfo=UTC)


def test_the_hour_that_comes_twice_counts_as_two() -> None:
    first = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    assert end("hour", LA, first) == datetime(2026, 11, 1, 9, tzinfo=UTC)
    assert end("hour", LA, first + timedelta(hours=1)) == datetime(2026, 11, 1, 10, tzinfo=UTC)


@given(at=MOMENTS, zone=ZONES)
def test_a_day_ends_when_the_date_of_its_zone_changes(at: datetime, zone: str) -> None:
    ends = end("day", zone, at)
    before, after = (
        moment.astimezone(ZoneInfo(zone)).date()
        for moment in (ends - timedelta(microseconds=1), ends)
    )
    assert at < ends
    assert before <= at.astimezone(ZoneInfo(zone)).date() < after


def test_a_window_that_comes_twice_is_refused() -> None:
    window = Window("w", "requests", "minute", 1)
    with pytest.raises(ValueError, match="twice"):
        columns((window, window))
