"""What a run says reaches its readers through a Redis that dies and comes back empty."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self

import pytest
from aegra_api.services.redis_broker import RedisBrokerManager
from redis import ConnectionError as NoRedisError

from potluck.server import run_end, run_stream
from potluck.server.run_stream import RunStream, _next_id

RUN = "r"


class FakeRedis:
    """Counts, and keeps lists; out of reach for the next so many calls."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.said: list[str] = []
        self.failures = 0

    def get_client(self) -> "FakeRedis":
        return self

    def _call(self) -> None:
        if self.failures:
            self.failures -= 1
            raise NoRedisError

    async def incr(self, key: str) -> int:
        self._call()
        self.counts[key] += 1
        return self.counts[key]

    async def set(self, key: str, number: int) -> None:
        self._call()
        self.counts[key] = number

    async def publish(self, _: str, message: str) -> None:
        self._call()
        self.said.append(message)


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> FakeRedis:
    fake = FakeRedis()
    monkeypatch.setattr(run_stream, "redis_manager", fake)
    return fake


@pytest.fixture
def manager() -> RedisBrokerManager:
    made = RedisBrokerManager()
    made._brokers[RUN] = RunStream(made, RUN, "channel", ("cache", "counter"))
    return made


async def numbers(manager: RedisBrokerManager, count: int) -> list[int]:
    return [int((await _next_id(manager, RUN)).rpartition("_")[2]) for _ in range(count)]


async def test_events_are_numbered_without_a_gap(
    redis: FakeRedis, manager: RedisBrokerManager
) -> None:
    assert await numbers(manager, 3) == [1, 2, 3]
    redis.failures = 1
    assert await numbers(manager, 3) == [4, 5, 6]


async def test_a_redis_that_has_forgotten_its_count_is_told_it(
    redis: FakeRedis, manager: RedisBrokerManager
) -> None:
    assert await numbers(manager, 3) == [1, 2, 3]
    redis.counts.clear()
    assert await numbers(manager, 3) == [4, 5, 6]
    assert list(redis.counts.values()) == [6]


async def say(stream: Any, redis: FakeRedis) -> None:
    await stream._write_with_retry(lambda message: redis.publish("", message), "hello")


async def test_what_is_said_waits_for_redis(redis: FakeRedis, manager: RedisBrokerManager) -> None:
    pauses: list[float] = []
    with pytest.MonkeyPatch.context() as patch:

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        patch.setattr(run_stream.asyncio, "sleep", sleep)
        redis.failures = 9
        await say(manager._brokers[RUN], redis)
    assert redis.said == ["hello"]
    assert len(pauses) == 9


async def test_a_run_does_not_wait_for_ever_and_then_no_more(
    redis: FakeRedis, manager: RedisBrokerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_stream, "PATIENCE_S", 0.03)
    monkeypatch.setattr(run_stream, "RETRY_EVERY_S", 0.01)
    stream = manager._brokers[RUN]
    redis.failures = 1_000
    with pytest.raises(NoRedisError):
        await say(stream, redis)
    before = redis.failures
    with pytest.raises(NoRedisError):
        await say(stream, redis)
    assert redis.failures == before - 1
    redis.failures = 0
    await say(stream, redis)
    redis.failures = 1
    await say(stream, redis)
    assert redis.said == ["hello", "hello"]


class FakeChannel:
    """What a reader hears, as if it had all been published."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def subscribe(self, _: str) -> None:
        pass


def event(number: int, kind: str, data: Any = None) -> tuple[str, Any]:
    return f"{RUN}_event_{number}", (kind, data)


DONE = {"messages": ["all of it"]}


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, redis: FakeRedis) -> SimpleNamespace:
    """The run as the database knows it."""
    run = SimpleNamespace(status="success", output=DONE, error_message=None)

    @asynccontextmanager
    async def session() -> AsyncIterator[Any]:
        async def get(*_: object) -> Any:
            return run

        yield SimpleNamespace(get=get)

    monkeypatch.setattr(run_end, "_get_session_maker", lambda: session)
    monkeypatch.setattr(redis, "pubsub", FakeChannel, raising=False)
    return run


async def heard(stream: Any, *events: tuple[str, Any], last_id: str | None = None) -> list[Any]:
    async def hear(_: object) -> AsyncIterator[Any]:
        for one in events:
            yield one

    stream._heard = hear
    return [(one[0].rpartition("_")[2], *one[1]) async for one in stream._after(last_id)]


VALUES, END = ("values", DONE), ("end", {"status": "success"})
TEXT, TOLD = event(1, "messages", "one"), event(2, "values", DONE)


async def test_a_stream_without_its_end_gets_it_from_the_database(
    manager: RedisBrokerManager, ended: SimpleNamespace
) -> None:
    stream = manager._brokers[RUN]
    assert await heard(stream, TEXT) == [("1", "messages", "one"), ("3", *VALUES), ("4", *END)]
    ended.status = "error"
    *_, told, end = await heard(stream, TEXT)
    assert (told[1], end[1:]) == ("error", ("end", {"status": "error"}))


async def test_values_that_were_lost_before_the_end_come_from_the_database(
    manager: RedisBrokerManager, ended: SimpleNamespace
) -> None:
    found = await heard(manager._brokers[RUN], TEXT, event(3, *END))
    assert found[1:] == [("5", *VALUES), ("6", *END)]
    ended.status = "running"
    assert (await heard(manager._brokers[RUN], TEXT, event(3, *END)))[1:] == [("3", *END)]


@pytest.mark.usefixtures("ended")
async def test_a_whole_stream_gets_nothing_more(manager: RedisBrokerManager) -> None:
    stream = manager._brokers[RUN]
    whole = [("1", "messages", "one"), ("2", *VALUES), ("3", *END)]
    assert await heard(stream, TEXT, TEXT, TOLD, event(3, *END)) == whole
    assert await heard(stream, TOLD, event(3, *END), last_id=f"{RUN}_event_3") == []
