"""What runs have said is kept in bounds, and who comes back later is told how they ended.

For a server without Redis, which keeps it in its own memory.
"""

from collections.abc import AsyncGenerator

from aegra_api.models import Run
from aegra_api.services.broker import BrokerManager, RunBroker, broker_manager
from aegra_api.services.streaming_service import StreamingService

from potluck.server.run_end import ENDED, end_of

# About 2 kB each: an answer of a thousand words is as many events
MOST_EVENTS = 20_000
# Whoever lost its connection as the run ended is back by then
COMES_BACK_S = 30.0

_sweep_by_age = BrokerManager.sweep_expired_brokers
_stream = StreamingService.stream_run_execution


def keep_in_bounds() -> None:
    """From now on this server keeps the events of the runs that ended last, and not too many."""
    BrokerManager.sweep_expired_brokers = sweep
    StreamingService.stream_run_execution = stream


def sweep(manager: BrokerManager, *ages: float) -> list[str]:
    """Forget the events of runs that ended long ago, and of the oldest while they are too many."""
    gone: list[str] = _sweep_by_age(manager, *ages)
    ended = [
        (age, run_id, len(broker._replay_buffer))  # noqa: SLF001 - Aegra tells of it in no other way
        for run_id, broker in manager._brokers.items()  # noqa: SLF001 - likewise
        if (age := _unread_s(broker)) is not None
    ]
    events = sum(count for _, _, count in ended)
    for age, run_id, count in sorted(ended, reverse=True):
        if events <= MOST_EVENTS or age < COMES_BACK_S:
            break
        manager.remove_broker(run_id)
        gone.append(run_id)
        events -= count
    return gone


async def stream(
    service: StreamingService, run: Run, last_event_id: str | None = None
) -> AsyncGenerator[str]:
    """What the run says after that event, to its end; of a forgotten run its end alone.

    Aegra's own waits for ever for the events of a run that has ended and is forgotten.
    """
    known = broker_manager.get_broker(run.run_id)
    if known is None and run.status in ENDED:
        for event_id, event in await end_of(run.run_id, last_event_id):
            told = await service._convert_raw_to_sse(event_id, event)  # noqa: SLF001 - as Aegra's own does
            if told:
                yield told
        return
    async for told in _stream(service, run, last_event_id):
        yield told


def _unread_s(broker: RunBroker) -> float | None:
    """How long ago the run ended; None while it goes on, or somebody still reads it."""
    age: float | None = broker.get_finished_age()
    return age if broker.is_empty() else None
