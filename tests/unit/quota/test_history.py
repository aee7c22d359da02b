"""The usage history between the calls and its store."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from potluck.errors import DatabaseError
from potluck.quota import history as module
from potluck.quota.call_memory import CallMemory
from potluck.quota.call_sums import PricedCall
from potluck.quota.calls import CallRecord, Price
from potluck.quota.history import BATCH, CallHistory

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def record(model: str = "m", **facts: Any) -> CallRecord:
    named = {"task_type": "general", "priority": "interactive", "outcome": "answered"}
    return CallRecord(
        **{"at": NOON, "provider": "groq", "model": model, "key_id": "k"} | named | facts
    )


@dataclass
class Store(CallMemory):
    """Keeps what it is given, unless it is out."""

    out: bool = False
    batches: list[int] = field(default_factory=list)
    forgotten: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def write(self, calls: Sequence[PricedCall]) -> None:
        if self.out:
            raise DatabaseError("out")
        self.batches.append(len(calls))
        await super().write(calls)

    async def forget(self, before: datetime) -> None:
        self.forgotten.append(before)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def history(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[CallHistory]:
    monkeypatch.setattr(module, "WRITE_EVERY_S", 0.0)
    monkeypatch.setattr(module, "RETRY_EVERY_S", 0.0)
    prices = {"groq/m": Price(input=1.0, output=2.0)}
    made = CallHistory(store, prices=prices, clock=clock, keep_days=lambda: 7)
    yield made
    await made.aclose()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_was_noted_is_in_the_next_sums(history: CallHistory) -> None:
    for _ in range(3):
        history.note(record(input_tokens=1_000_000, output_tokens=500_000))
    (one,) = await history.sums(1)
    assert (one.calls, one.cost_usd, one.unpriced) == (3, 6.0, 0)


async def test_a_model_without_a_price_has_no_cost(history: CallHistory, store: Store) -> None:
    history.note(record("unknown", input_tokens=5))
    (one,) = await history.sums(1)
    assert store.calls[0].cost_usd is None
    assert (one.cost_usd, one.unpriced) == (0.0, 1)


async def test_days_are_counted_back_from_today(history: CallHistory, clock: Clock) -> None:
    history.note(record(at=NOON - timedelta(days=1)))
    history.note(record())
    clock.now = NOON + timedelta(hours=1)
    assert history.today() == date(2026, 11, 21)
    assert [one.day.day for one in await history.sums(1)] == [21]
    assert [one.day.day for one in await history.sums(2)] == [20, 21]


async def test_noting_writes_nothing_until_the_writers_turn(
    history: CallHistory, store: Store
) -> None:
    history.start()
    history.note(record())
    assert store.batches == []
    await asyncio.sleep(0.01)
    assert store.batches == [1]


async def test_calls_are_written_in_batches_each_with_its_number(
    history: CallHistory, store: Store
) -> None:
    for _ in range(2 * BATCH + 1):
        history.note(record())
    await history.flush()
    assert store.batches == [BATCH, BATCH, 1]
    assert [call.number for call in store.calls] == list(range(2 * BATCH + 1))


async def test_a_full_batch_does_not_wait_for_its_time(
    history: CallHistory, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_EVERY_S", 3600.0)
    history.start()
    for _ in range(BATCH):
        history.note(record())
    await turns()
    assert store.batches == [BATCH]


async def test_calls_wait_while_the_store_is_out(
    history: CallHistory, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.out = True
    history.start()
    for _ in range(3):
        history.note(record())
        await asyncio.sleep(0.01)
    assert [r.message for r in caplog.records].count("Calls wait to be written: out") == 1
    with pytest.raises(DatabaseError):
        await history.sums(1)
    store.out = False
    assert (await history.sums(1))[0].calls == 3
    await asyncio.sleep(0.01)
    assert "written again" in caplog.text


async def test_what_finds_no_room_to_wait_is_counted_and_told_once(
    history: CallHistory,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    for _ in range(5):
        history.note(record())
    assert history.dropped == 3
    assert len(caplog.records) == 1
    assert (await history.sums(1))[0].calls == 2


async def test_closing_writes_what_waits(history: CallHistory, store: Store) -> None:
    history.start()
    history.note(record())
    await history.aclose()
    assert store.batches == [1]


async def test_closing_does_not_hang_on_a_store_that_is_out(
    history: CallHistory, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.out = True
    history.note(record())
    with caplog.at_level(logging.WARNING):
        await history.aclose()
    assert "1 calls are lost" in caplog.text


async def test_old_calls_are_forgotten_once_an_hour(
    history: CallHistory, store: Store, clock: Clock
) -> None:
    history.start()
    for passed in (timedelta(), timedelta(minutes=59), timedelta(hours=1)):
        clock.now = NOON + passed
        history.note(record())
        await asyncio.sleep(0.01)
    week = timedelta(days=7)
    assert store.forgotten == [NOON - week, NOON + timedelta(hours=1) - week]


async def test_without_a_database_the_calls_of_this_process_are_kept(clock: Clock) -> None:
    history = CallHistory.open(None, prices={}, clock=clock)
    history.note(record())
    assert (await history.sums(1))[0].calls == 1
    await history.aclose()
