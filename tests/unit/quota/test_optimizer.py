"""The advice of the optimiser."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.quota.budgets import NO_LIMIT
from potluck.quota.optimizer import NO_ADVICE, advise
from potluck.quota.windows import Period, Use, Window

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


def use(used: float, limit: float = 100, period: Period = "day", **more: Any) -> Use:
    window = Window(f"w-{period}", "requests", period, limit, more.pop("reset", "UTC"))
    more.setdefault("resets_at", MIDNIGHT)
    return Use(window, used, **more)


@pytest.mark.parametrize(
    ("used", "status"),
    [
        (0, "CAN_INCREASE"),
        (29.9, "CAN_INCREASE"),
        (30, "OPTIMAL"),
        (80, "OPTIMAL"),
        (80.1, "REDUCE_USAGE"),
        (130, "REDUCE_USAGE"),
    ],
)
def test_advice_follows_the_share_of_the_day(used: float, status: str) -> None:
    advice = advise([use(used)], NOON)
    assert (advice.status, advice.used_share) == (status, used / 100)
    assert advice.resets_at == MIDNIGHT


def test_the_fullest_day_decides() -> None:
    low, high = use(20), use(9, 10)
    assert advise([low, high], NOON).window is high.window


def test_without_a_day_the_month_is_judged_and_the_minute_never() -> None:
    minute, month = use(9, 10, "minute"), use(900, 1000, "month")
    assert advise([minute, month], NOON).status == "REDUCE_USAGE"
    assert advise([minute, month, use(10)], NOON).status == "CAN_INCREASE"
    assert advise([minute], NOON) == NO_ADVICE
    assert advise([], NOON).status == "OPTIMAL"


def test_a_day_without_a_known_limit_is_not_judged() -> None:
    assert advise([use(50_000, NO_LIMIT)], NOON) == NO_ADVICE
    assert advise([use(50_000, NO_LIMIT), use(900, 1000, "month")], NOON).status == "REDUCE_USAGE"


def test_a_day_that_is_used_faster_than_it_passes_runs_out() -> None:
    advice = advise([use(75)], NOON)
    assert advice.exhausted_at == NOON + timedelta(hours=4)
    assert advice.runs_out


def test_a_day_that_ends_first_does_not_run_out() -> None:
    assert advise([use(40)], NOON).exhausted_at is None
    assert advise([use(0)], NOON).exhausted_at is None


def test_the_day_begins_at_the_providers_own_midnight() -> None:
    # Noon UTC is four in the morning on the Pacific: 16 in 4 hours leave some at midnight.
    resets_at = datetime(2026, 11, 22, 8, tzinfo=UTC)
    zone = "America/Los_Angeles"
    assert advise([use(16, reset=zone, resets_at=resets_at)], NOON).exhausted_at is None
    advice = advise([use(25, reset=zone, resets_at=resets_at)], NOON)
    assert advice.exhausted_at == NOON + timedelta(hours=12)


def test_a_month_begins_on_its_first() -> None:
    month = use(205, 410, "month", resets_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert advise([month], NOON).exhausted_at is None
    month = use(205, 295, "month", resets_at=datetime(2026, 12, 1, tzinfo=UTC))
    assert advise([month], NOON).exhausted_at == NOON + timedelta(days=9)


def test_a_rolling_day_is_judged_since_its_oldest_use() -> None:
    # 60 in the last 6 hours, of which nothing comes back for another 18.
    free_at = NOON + timedelta(hours=18)
    rolling = use(60, reset="rolling", free_at=free_at)
    assert advise([rolling], NOON).exhausted_at == NOON + timedelta(hours=4)
    # 60 in the last 20 hours: the first comes back in 4, before 40 more are used.
    rolling = use(60, reset="rolling", free_at=NOON + timedelta(hours=4))
    assert advise([rolling], NOON).exhausted_at is None


def test_a_burst_after_midnight_is_not_taken_for_a_pace() -> None:
    just_after = datetime(2026, 11, 21, 0, 1, tzinfo=UTC)
    assert advise([use(4)], just_after).exhausted_at is None
    assert advise([use(50)], just_after).exhausted_at == just_after + timedelta(hours=1)


def test_what_is_used_up_is_exhausted_now() -> None:
    for reset in ("UTC", "rolling", "refill"):
        assert advise([use(100, reset=reset)], NOON).exhausted_at == NOON
    assert advise([use(0, 0)], NOON).exhausted_at == NOON


def test_a_measured_rate_beats_the_mean() -> None:
    advice = advise([use(75)], NOON, rate_per_s={"requests": 25 / 3600})
    assert advice.exhausted_at == NOON + timedelta(hours=1)
    assert advise([use(75)], NOON, rate_per_s={"requests": 0.0}).exhausted_at is None
    assert advise([use(75)], NOON, rate_per_s={"tokens": 9}).exhausted_at == NOON + timedelta(
        hours=4
    )


def test_a_window_that_refills_runs_out_only_when_used_faster_than_that() -> None:
    refill = use(76, 2400, reset="refill")  # 100 flow back each hour
    assert advise([refill], NOON).exhausted_at is None
    assert advise([refill], NOON, rate_per_s={"requests": 90 / 3600}).exhausted_at is None
    advice = advise([refill], NOON, rate_per_s={"requests": 200 / 3600})
    assert advice.exhausted_at is not None
    assert advice.exhausted_at - NOON == timedelta(hours=23.24)


@given(
    used=st.floats(0, 1e9),
    limit=st.floats(0, 1e9),
    reset=st.sampled_from(["rolling", "refill", "UTC", "America/Los_Angeles"]),
    period=st.sampled_from(["day", "month"]),
    free_in_s=st.floats(0, 86400 * 30),
    rate=st.none() | st.floats(0, 1e9),
)
def test_exhaustion_is_never_in_the_past_nor_after_the_reset(
    *, used: float, limit: float, reset: str, period: Any, free_in_s: float, rate: float | None
) -> None:
    one = use(used, limit, period, reset=reset, free_at=NOON + timedelta(seconds=free_in_s))
    advice = advise([one], NOON, rate_per_s=None if rate is None else {"requests": rate})
    if advice.exhausted_at is not None:
        assert advice.exhausted_at >= NOON
        if reset in {"UTC", "America/Los_Angeles"}:
            assert advice.exhausted_at < MIDNIGHT
    else:
        assert used < limit
