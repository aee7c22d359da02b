"""The events of a run reach every reader on every server: none is missing, and the end comes.

Also through a Redis that dies and comes back empty: what is to be told then waits for it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast
from weakref import WeakKeyDictionary

import structlog
from aegra_api.core.active_runs import active_runs
from aegra_api.core.redis_manager import redis_manager
from aegra_api.services.redis_broker import (
    _REPLAY_MAX_EVENTS,
    _REPLAY_TTL_SECONDS,
    RedisBrokerManager,
    RedisRunBroker,
    _deserialize_payload,
)
from aegra_api.services.worker_executor import _is_run_terminal
from aegra_api.utils import extract_event_sequence, generate_event_id
from redis import RedisError
from redis.asyncio.client import PubSub
from sqlalchemy.exc import SQLAlchemyError

from potluck.server.run_end import StreamEvent, end_of

# So long without an event, and the reader looks whether it has missed one
QUIET_S = 2.0
# So often without anything new, and the reader looks whether the run has ended
QUIET_TIMES = 3
# So long a run waits for Redis to tell what it says; what it says after that may be lost
PATIENCE_S = 30.0
RETRY_EVERY_S = 0.25

logger = structlog.get_logger(__name__)


class RunStream(RedisRunBroker):  # type: ignore[misc] # Aegra ships no types
    """Aegra's stream of one run, whose readers look back once more when they have begun to listen.

    Aegra's own reads what there is, then listens: what comes in between is lost to its readers.
    """

    def __init__(
        self, manager: RedisBrokerManager, run_id: str, channel: str, keys: tuple[str, str]
    ) -> None:
        super().__init__(run_id, channel, *keys)
        self._manager = manager
        self._readers = 0
        self._number = 0
        self._is_given_up = False
        # A reader calls `replay`, then `aiter`, in one task
        self._read: WeakKeyDictionary[asyncio.Task[Any], str] = WeakKeyDictionary()

    def number(self, counted: int) -> int:
        """The next event's number, when Redis counts so many: it may have lost its count."""
        self._number = max(counted, self._number + 1)
        return self._number

    async def _cache_event(self, message: str) -> None:
        pipe = redis_manager.get_client().pipeline()
        pipe.rpush(self._cache_key, message)
        pipe.ltrim(self._cache_key, -_REPLAY_MAX_EVENTS, -1)
        pipe.expire(self._cache_key, _REPLAY_TTL_SECONDS)
        # Events are counted where they get their number: without a gap, so that losses show
        pipe.expire(self._counter_key, _REPLAY_TTL_SECONDS)
        await pipe.execute()

    async def _write_with_retry(self, op: Callable[[str], Awaitable[None]], message: str) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + (0.0 if self._is_given_up else PATIENCE_S)
        while True:
            try:
                await op(message)
            except RedisError:
                if loop.time() >= until_s:
                    self._is_given_up = True
                    raise
                await asyncio.sleep(RETRY_EVERY_S)
            else:
                self._is_given_up = False
                return

    async def replay(self, last_event_id: str | None) -> list[StreamEvent]:
        """What there is after that event (None: from the beginning)."""
        events = cast("list[StreamEvent]", await super().replay(last_event_id))
        reader = asyncio.current_task()
        last_id = events[-1][0] if events else last_event_id
        if reader is not None and last_id is not None:
            self._read[reader] = last_id
        return events

    async def aiter(self) -> AsyncIterator[StreamEvent]:
        """The events after those that this task was given by `replay`, to the end."""
        self._readers += 1
        attempt = 0
        reader = asyncio.current_task()
        last_id = self._read.pop(reader, None) if reader is not None else None
        try:
            while True:
                try:
                    async with aclosing(self._after(last_id)) as events:
                        async for event in events:
                            attempt, last_id = 0, event[0]
                            yield event
                except RedisError as error:
                    attempt += 1
                    if attempt == 1:
                        logger.warning("A run's stream is broken.", reason=repr(error))
                    await asyncio.sleep(RETRY_EVERY_S)
                    if attempt % QUIET_TIMES == 0 and await self._has_ended():
                        for event in await end_of(self.run_id, last_id):
                            yield event
                        return
                else:
                    return
        finally:
            self._readers -= 1
            self._forget()

    def _forget(self) -> None:
        """Let go of a run that is at work elsewhere, once nobody here reads it."""
        brokers = self._manager._brokers  # noqa: SLF001 - Aegra forgets those of its own runs alone
        is_known = brokers.get(self.run_id) is self
        if is_known and not self._readers and self.run_id not in active_runs:
            del brokers[self.run_id]

    async def _after(self, last_id: str | None) -> AsyncGenerator[StreamEvent]:
        last = extract_event_sequence(last_id) if last_id else 0
        is_missed = False
        async with redis_manager.get_client().pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            async with aclosing(self._heard(pubsub)) as heard:
                async for event in heard:
                    # What was published while it was looked up comes both ways
                    if (number := extract_event_sequence(event[0])) <= last:
                        if _is_end(event):
                            return
                        continue
                    is_missed = (is_missed or number > last + 1) and not _is_values(event)
                    last = number
                    self._number = max(self._number, number)
                    if not _is_end(event):
                        yield event
                        continue
                    self.mark_finished()
                    known = await end_of(self.run_id, event[0]) if is_missed else []
                    for one in known or [event]:
                        yield one
                    return
        for event in await end_of(self.run_id, generate_event_id(self.run_id, last)):
            yield event

    async def _heard(self, pubsub: PubSub) -> AsyncGenerator[StreamEvent]:
        """Everything there is and comes; some of it more than once."""
        quiet = 0
        while True:
            for event in await super().replay(None):
                yield event
            while (message := await _next(pubsub)) is not None:
                quiet = 0
                if (heard := _event_in(message)) is not None:
                    yield heard
            quiet += 1
            if quiet >= QUIET_TIMES and await self._has_ended():
                # Its end was never told: whoever was to tell it is gone
                for event in await super().replay(None):
                    yield event
                return

    async def _has_ended(self) -> bool:
        try:
            return bool(await _is_run_terminal(self.run_id))
        except (SQLAlchemyError, OSError):
            return False


def stream_whole() -> None:
    """From now on this process's streams of runs are whole."""

    def made(manager: RedisBrokerManager, run_id: str) -> RunStream:
        keys = (f"{manager._cache_prefix}{run_id}", f"{manager._counter_prefix}{run_id}")  # noqa: SLF001 - as Aegra makes its own
        return RunStream(manager, run_id, f"{manager._channel_prefix}{run_id}", keys)  # noqa: SLF001

    RedisBrokerManager._make_broker = made  # noqa: SLF001 - Aegra has no other way to it
    RedisBrokerManager.allocate_event_id = _next_id


async def _next_id(manager: RedisBrokerManager, run_id: str) -> str:
    """The id of the run's next event: its number is higher than any that this server has seen."""
    stream = cast("RunStream", manager.get_or_create_broker(run_id))
    key = f"{manager._counter_prefix}{run_id}"  # noqa: SLF001 - as Aegra names it
    try:
        client = redis_manager.get_client()
        counted = int(await client.incr(key))
        number = stream.number(counted)
        if number != counted:
            await client.set(key, number)
    except RedisError:
        number = stream.number(0)
    return str(generate_event_id(run_id, number))


async def _next(pubsub: PubSub) -> dict[str, Any] | None:  # Any: as redis types it
    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=QUIET_S)
    return cast("dict[str, Any] | None", message)


def _event_in(message: dict[str, Any]) -> StreamEvent | None:
    if message["type"] != "message":
        return None
    data = json.loads(message["data"])
    return data["event_id"], _deserialize_payload(data["payload"])


def _is_end(event: StreamEvent) -> bool:
    return _kind(event) == "end"


def _is_values(event: StreamEvent) -> bool:
    return _kind(event) == "values"


def _kind(event: StreamEvent) -> object:
    payload = event[1]
    return payload[0] if isinstance(payload, tuple) and payload else None
