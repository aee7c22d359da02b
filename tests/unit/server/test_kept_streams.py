"""What runs have said is kept for who comes back, in bounds."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aegra_api.services.broker import BrokerManager, RunBroker

from potluck.server import kept_streams
from potluck.server.kept_streams import COMES_BACK_S, MOST_EVENTS, stream, sweep

HALF = MOST_EVENTS // 2


@pytest.fixture
async def manager() -> BrokerManager:
    return BrokerManager()


def ended(manager: BrokerManager, run_id: str, *, events: int, ago_s: float) -> RunBroker:
    broker = manager.get_or_create_broker(run_id)
    broker._replay_buffer = [(f"{run_id}_event_{n}", ("values", {})) for n in range(events)]
    broker.mark_finished()
    broker._finished_at = asyncio.get_running_loop().time() - ago_s
    return broker


async def test_the_oldest_go_while_there_are_too_many(manager: BrokerManager) -> None:
    for number in range(4):
        ended(manager, f"run-{number}", events=HALF, ago_s=500 - number)
    assert sweep(manager) == ["run-0", "run-1"]
    assert sorted(manager._brokers) == ["run-2", "run-3"]


async def test_few_are_kept_for_their_time(manager: BrokerManager) -> None:
    ended(manager, "new", events=5, ago_s=500)
    ended(manager, "old", events=5, ago_s=700)
    assert sweep(manager) == ["old"]


async def test_what_has_just_ended_is_kept_whatever_its_size(manager: BrokerManager) -> None:
    ended(manager, "huge", events=3 * MOST_EVENTS, ago_s=COMES_BACK_S - 1)
    assert sweep(manager) == []


async def test_what_goes_on_or_is_read_is_never_forgotten(manager: BrokerManager) -> None:
    going_on = manager.get_or_create_broker("going on")
    going_on._replay_buffer = [("e", ("values", {}))] * 3 * MOST_EVENTS
    read = ended(manager, "read", events=MOST_EVENTS + 1, ago_s=500)
    queue: asyncio.Queue[Any] = asyncio.Queue()
    queue.put_nowait(("e", ("values", {})))
    read._subscribers.add(queue)
    assert sweep(manager) == []


async def test_who_comes_back_to_a_forgotten_run_is_told_how_it_ended(
    manager: BrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end_of(run_id: str, last_id: str | None) -> list[tuple[str, Any]]:
        assert (run_id, last_id) == ("gone", "gone_event_3")
        return [("gone_event_5", ("end", {"status": "success"}))]

    class Service:
        async def _convert_raw_to_sse(self, event_id: str, event: Any) -> str:
            return f"{event_id}: {event[0]}"

    monkeypatch.setattr(kept_streams, "end_of", end_of)
    monkeypatch.setattr(kept_streams, "broker_manager", manager)
    run: Any = SimpleNamespace(run_id="gone", status="success")
    service: Any = Service()
    told = [event async for event in stream(service, run, "gone_event_3")]
    assert told == ["gone_event_5: end"]
    assert manager._brokers == {}
