"""Sums of calls, and the calls that are kept in memory."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from potluck.quota.call_memory import MOST_CALLS, CallMemory
from potluck.quota.call_sums import PricedCall, add_up
from potluck.quota.calls import CallRecord, Price

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def call(number: int = 0, *, cost_usd: float | None = None, **facts: Any) -> PricedCall:
    record = CallRecord(
        **{
            "at": NOON,
            "provider": "groq",
            "model": "m",
            "key_id": "k",
            "task_type": "general",
            "priority": "interactive",
            "outcome": "answered",
            **facts,
        }
    )
    return PricedCall(number, record, cost_usd)


def test_a_price_is_for_a_million_tokens() -> None:
    assert Price(input=0.15, output=0.6).of(2_000_000, 500_000) == 0.6


def test_calls_of_a_kind_add_up() -> None:
    (one,) = add_up(
        [
            call(input_tokens=10, output_tokens=1, cost_usd=0.5, duration_s=1.5),
            call(input_tokens=20, output_tokens=2, duration_s=0.5),
        ]
    )
    assert (one.day, one.provider, one.model, one.outcome) == (
        date(2026, 11, 21),
        "groq",
        "m",
        "answered",
    )
    assert (one.calls, one.input_tokens, one.output_tokens) == (2, 30, 3)
    assert (one.cost_usd, one.unpriced, one.duration_s) == (0.5, 1, 2.0)


def test_days_models_and_outcomes_stay_apart() -> None:
    sums = add_up(
        [
            call(),
            call(at=NOON - timedelta(days=1)),
            call(model="other"),
            call(outcome="failed"),
            call(provider="mistral"),
        ]
    )
    assert [one.calls for one in sums] == [1] * 5


def test_the_day_is_that_of_utc() -> None:
    late = datetime(2026, 11, 21, 22, tzinfo=timezone(timedelta(hours=-5)))
    assert add_up([call(at=late)])[0].day == date(2026, 11, 22)


def test_only_calls_for_several_steps_are_batches() -> None:
    (one,) = add_up([call(parts=1), call(parts=3), call(parts=2)])
    assert (one.batches, one.batched_steps) == (2, 5)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.booleans())), st.integers(0))
def test_it_makes_no_difference_in_how_many_batches_calls_come(
    facts: list[tuple[str, int, bool]], cut: int
) -> None:
    calls = [
        call(model=model, input_tokens=tokens, cost_usd=1.0 if priced else None)
        for model, tokens, priced in facts
    ]
    assert add_up(calls[cut:], add_up(calls[:cut])) == add_up(calls)


async def test_memory_forgets_calls_but_not_their_sums() -> None:
    memory = CallMemory()
    await memory.write([call(at=NOON - timedelta(days=3)), call()])
    await memory.forget(NOON - timedelta(days=2))
    assert [kept.record.at for kept in memory.calls] == [NOON]
    assert len(await memory.sums(date(2026, 11, 18))) == 2
    assert len(await memory.sums(date(2026, 11, 19))) == 1


async def test_memory_is_bounded() -> None:
    memory = CallMemory()
    await memory.write([call()] * (MOST_CALLS + 1))
    assert len(memory.calls) == MOST_CALLS
    assert (await memory.sums(NOON.date()))[0].calls == MOST_CALLS + 1
