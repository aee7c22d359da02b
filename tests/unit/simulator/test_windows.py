from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potluck.simulator.profile import Period, WindowSpec
from potluck.simulator.windows import RefillWindow, RollingWindow, Window, next_midnight, window_of

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
SPECS = [
    WindowSpec(limit=10, period="minute", refill=True),
    WindowSpec(limit=10, period="minute"),
    WindowSpec(limit=10, period="day", refill=True),
    WindowSpec(limit=10, period="utc_day"),
    WindowSpec(limit=10, period="pacific_day"),
    WindowSpec(limit=10, period="month"),
]
STEPS = st.lists(st.tuples(st.floats(0, 50), st.integers(1, 10)), max_size=25)


def make(spec: WindowSpec) -> Window:
    return window_of(spec, spec.limit)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.period}-{spec.refill}")
@given(steps=STEPS)
@settings(max_examples=40)
def test_what_waits_as_told_fits_and_never_exceeds_the_limit(
    spec: WindowSpec, steps: list[tuple[float, int]]
) -> None:
    window, now_s = make(spec), NOON
    for pause_s, amount in steps:
        now_s += pause_s
        wait_s = window.wait_s(now_s, amount)
        assert wait_s >= 0
        now_s += wait_s + 1e-3
        assert window.wait_s(now_s, amount) == 0
        window.take(now_s, amount)
        assert window.used(now_s) <= spec.limit + 1e-6


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.period}-{spec.refill}")
@given(steps=STEPS)
@settings(max_examples=40)
def test_all_is_free_after_the_reset(spec: WindowSpec, steps: list[tuple[float, int]]) -> None:
    window, now_s = make(spec), NOON
    for pause_s, amount in steps:
        now_s += pause_s
        window.take(now_s, amount)
    now_s += window.reset_s(now_s) + 1e-3
    assert window.used(now_s) == pytest.approx(0, abs=1e-3)


@given(steps=STEPS)
@settings(max_examples=40)
def test_rolling_window_counts_as_a_plain_list_does(steps: list[tuple[float, int]]) -> None:
    window, now_s, uses = RollingWindow(10, 60), NOON, []
    for pause_s, amount in steps:
        now_s += pause_s
        window.take(now_s, amount)
        uses.append((now_s, amount))
        expected = sum(used for at, used in uses if now_s < at + 60)
        assert window.used(now_s) == expected


def test_refilled_wait_is_what_groq_quotes() -> None:
    window = RefillWindow(8000, 60)
    window.take(NOON, 6644)
    assert window.wait_s(NOON, 2931) == pytest.approx(11.8125)
    day = RefillWindow(1000, 86_400)
    day.take(NOON, 1)
    assert day.reset_s(NOON) == pytest.approx(86.4)


@pytest.mark.parametrize(
    ("period", "hours"), [("utc_day", 12), ("pacific_day", 20), ("month", 9 * 24 + 12)]
)
def test_fixed_windows_end_at_their_hour(period: Period, hours: int) -> None:
    window = make(WindowSpec(limit=1, period=period))
    window.take(NOON, 1)
    assert window.wait_s(NOON, 1) == hours * 3600
    assert window.wait_s(NOON + hours * 3600, 1) == 0


def test_midnight_follows_summer_time() -> None:
    pacific = ZoneInfo("America/Los_Angeles")
    before = datetime(2026, 3, 8, 8, tzinfo=UTC)
    assert next_midnight(before, pacific) == datetime(2026, 3, 9, 7, tzinfo=UTC)


def test_month_ends_with_the_year() -> None:
    window = make(WindowSpec(limit=1, period="month"))
    last_second = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    assert window.reset_s(last_second) == 1


def test_more_than_the_limit_waits_until_all_is_free() -> None:
    window = RefillWindow(10, 60)
    assert window.wait_s(NOON, 99) == 0
    window.take(NOON, 5)
    assert window.wait_s(NOON, 99) == pytest.approx(30)


def test_what_is_given_back_can_be_used_again() -> None:
    for window in (RefillWindow(10, 60), RollingWindow(10, 60)):
        window.take(NOON, 10)
        window.give_back(NOON, 4, taken_s=NOON)
        assert window.used(NOON) == 6


def test_what_is_given_back_late_expires_with_its_use() -> None:
    window = RollingWindow(10, 60)
    window.take(NOON, 1)
    window.take(NOON + 30, 9)
    window.give_back(NOON + 50, 1, taken_s=NOON)
    assert window.used(NOON + 50) == 9
    # The use and what was given back of it have both expired: nine are nine
    assert window.used(NOON + 70) == 9
    window.give_back(NOON + 100, 9, taken_s=NOON + 30)
    assert window.used(NOON + 100) == 0


def test_nothing_is_given_back_across_a_reset() -> None:
    window = make(WindowSpec(limit=10, period="utc_day"))
    window.take(NOON, 5)
    tomorrow = NOON + 86_400
    window.take(tomorrow, 3)
    window.give_back(tomorrow, 5, taken_s=NOON)
    assert window.used(tomorrow) == 3
