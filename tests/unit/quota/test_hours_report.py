"""Calls added up by the hour, and the report made of them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from potluck.errors import DatabaseError
from potluck.quota.call_hours import HourSum, add_up_hours
from potluck.quota.call_memory import CallMemory
from potluck.quota.call_sums import PricedCall
from potluck.quota.calls import CallRecord, Price
from potluck.quota.history import CallHistory
from potluck.quota.hours_report import HoursReport, build_hours

NOW = datetime(2026, 11, 21, 12, 40, tzinfo=UTC)


def record(ago_min: float = 0, **facts: Any) -> CallRecord:
    given = {
        "at": NOW - timedelta(minutes=ago_min),
        "provider": "groq",
        "model": "m",
        "key_id": "k",
        "task_type": "general",
        "priority": "interactive",
        "outcome": "answered",
    }
    return CallRecord(**given | facts)


@pytest.fixture
async def history() -> AsyncIterator[CallHistory]:
    prices = {"groq/m": Price(input=1.0, output=0.0), "paid/m": Price(input=1.0, output=0.0)}
    made = CallHistory(CallMemory(), prices=prices, clock=lambda: NOW)
    yield made
    await made.aclose()


async def report(history: CallHistory, hours: int = 3) -> HoursReport:
    return await build_hours(history, paid={"paid"}, now=NOW, hours=hours)


def test_the_hour_is_that_of_utc() -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    at = datetime(2026, 11, 21, 12, 10, tzinfo=nepal)
    (one,) = add_up_hours([PricedCall(0, record(at=at), None)])
    assert (one.hour, one.last_at) == (datetime(2026, 11, 21, 6, tzinfo=UTC), at)


async def test_each_hour_has_its_place_those_without_calls_too(history: CallHistory) -> None:
    for ago_min in (0, 30, 130, 161, 9999):
        history.note(record(ago_min))
    told = await report(history)
    assert [hour.hour.hour for hour in told.hours] == [10, 11, 12]
    assert [hour.totals.answered for hour in told.hours] == [1, 0, 2]
    assert told.models[0].totals.answered == 3
    assert told.missing == ()


async def test_outcomes_and_money_stay_apart(history: CallHistory) -> None:
    history.note(record(input_tokens=1_000_000))
    history.note(record(provider="paid", input_tokens=2_000_000))
    history.note(record(outcome="cached", input_tokens=3_000_000))
    history.note(record(outcome="refused"))
    (hour,) = (await report(history, hours=1)).hours
    totals = hour.totals
    assert (totals.answered, totals.cached, totals.refused, totals.sent) == (2, 1, 1, 2)
    assert (totals.saved_usd, totals.spent_usd) == (4.0, 2.0)


async def test_faults_are_told_by_kind_the_latest_first(history: CallHistory) -> None:
    for ago_min, model, error in [(90, "m", "minute"), (80, "m", "minute"), (10, "n", "auth")]:
        history.note(record(ago_min, model=model, outcome="failed", error=error))
    told = [(f.model, f.kind, f.calls, f.last_at) for f in (await report(history)).faults]
    assert told == [
        ("n", "auth", 1, NOW - timedelta(minutes=10)),
        ("m", "minute", 2, NOW - timedelta(minutes=80)),
    ]


@pytest.mark.parametrize(("ago_min", "answers"), [(5, True), (15, False), (85, False)])
async def test_a_later_answer_takes_the_worry_away(
    history: CallHistory, ago_min: float, answers: bool
) -> None:
    history.note(record(10, outcome="failed", error="overload"))
    history.note(record(ago_min))
    history.note(record(1, model="another"))
    (fault,) = (await report(history)).faults
    assert fault.answered_after is answers


async def test_a_database_that_is_out_is_named() -> None:
    class Out(CallMemory):
        async def hours(self, since: datetime, tenant: str | None = None) -> list[HourSum]:  # noqa: ARG002 - it fails
            raise DatabaseError("The usage history cannot be reached.")

    told = await report(CallHistory(Out(), prices={}, clock=lambda: NOW))
    assert (told.hours, told.faults) == ((), ())
    assert "cannot be reached" in told.missing[0]
