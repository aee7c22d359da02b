"""The shared cache, on a real PostgreSQL: what memory does, for all replicas; never in the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from potluck.cache import table
from potluck.cache.entry import Entry
from potluck.cache.responses import Asker, Question, ResponseCache
from potluck.cache.store import MOST_MARKS, OVERHEAD_BYTES, CacheOptions
from potluck.cache.table import TableStore
from potluck.pool import Pool

pytestmark = pytest.mark.integration

KEY = b"k" * 32
OPTIONS = CacheOptions(ttl=timedelta(hours=1))


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(pool: Pool, clock: Clock) -> AsyncIterator[TableStore]:
    made = TableStore(pool, clock)
    yield made
    await made.aclose()


async def keys(pool: Pool) -> set[bytes]:
    async with pool.connection() as connection:
        rows = await connection.execute("SELECT key FROM cached_answers")
        return {bytes(key) for (key,) in await rows.fetchall()}


async def test_a_value_lives_as_long_as_it_may(store: TableStore, clock: Clock) -> None:
    await store.put(KEY, b"v\0\xff", "", OPTIONS)
    clock.advance(minutes=59)
    kept = await store.find(KEY, "", OPTIONS)
    assert kept is not None
    assert kept.value == b"v\0\xff"
    clock.advance(minutes=1)
    assert await store.find(KEY, "", OPTIONS) is None


async def test_a_value_takes_the_place_of_the_older_one(store: TableStore) -> None:
    await store.put(KEY, b"1", "x", OPTIONS)
    await store.put(KEY, b"2", "y", OPTIONS)
    kept = await store.find(KEY, "", OPTIONS)
    assert kept is not None
    assert (kept.value, kept.given) == (b"2", ("y",))


async def test_what_is_removed_is_gone(store: TableStore) -> None:
    await store.put(KEY, b"1", "", OPTIONS)
    await store.remove(KEY)
    assert await store.find(KEY, "", OPTIONS) is None


async def test_it_is_told_who_had_the_value_before(store: TableStore) -> None:
    await store.put(KEY, b"1", "x", OPTIONS)
    given = []
    for mark in ("y", "x", "", "z"):
        kept = await store.find(KEY, mark, OPTIONS)
        given.append(kept.given if kept else None)
    assert given == [("x",), ("x", "y"), ("x", "y"), ("x", "y")]


async def test_only_the_latest_marks_are_kept(store: TableStore) -> None:
    await store.put(KEY, b"1", "first", OPTIONS)
    for number in range(MOST_MARKS):
        await store.find(KEY, str(number), OPTIONS)
    kept = await store.find(KEY, "", OPTIONS)
    assert kept is not None
    assert kept.given == tuple(str(number) for number in range(MOST_MARKS))


async def test_what_is_old_or_used_least_makes_room(
    pool: Pool, store: TableStore, clock: Clock
) -> None:
    options = CacheOptions(ttl=timedelta(hours=1), max_bytes=10 * (OVERHEAD_BYTES + 100))
    await store.put(b"old", b"v", "", options)
    clock.advance(hours=2)
    for number in range(12):
        await store.put(bytes([number]), b"v" * 100, "", options)
        clock.advance(seconds=1)
        await store.find(bytes([0]), "", options)
        clock.advance(seconds=1)
        await store.aclose()
    left = await keys(pool)
    assert len(left) == 9, "a little below the size, so that not every answer has to make room"
    assert left == {bytes([number]) for number in (0, *range(4, 12))}


async def test_replicas_share_answers(pool: Pool, clock: Clock) -> None:
    first, second = (ResponseCache.open(pool, OPTIONS, clock=clock) for _ in range(2))
    answer = Entry("groq", "m", "stop", text="ü\ud800\0")
    async with first.turn(Question(KEY, Asker("chat"))) as turn:
        turn.keep(answer)
    await first.aclose()
    async with second.turn(Question(KEY)) as turn:
        assert turn.entry == answer
    async with second.turn(Question(KEY, Asker("chat"))) as turn:
        assert turn.entry is None, "the chat wants another one, whichever replica it comes to"
    await second.aclose()


async def test_a_damaged_row_is_removed(pool: Pool, clock: Clock) -> None:
    cache = ResponseCache.open(pool, OPTIONS, clock=clock)
    async with cache.turn(Question(KEY)) as turn:
        turn.keep(Entry("groq", "m", "stop", text="hi"))
    await cache.aclose()
    async with pool.connection() as connection:
        await connection.execute("UPDATE cached_answers SET value = 'nonsense'")
    async with cache.turn(Question(KEY)) as turn:
        assert turn.entry is None
        assert await keys(pool) == set()


class TestOutage:
    """Without its database the cache finds and keeps nothing, quickly and without an error."""

    async def test_a_database_that_is_gone_costs_no_time(
        self, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        address = "postgresql://127.0.0.1:1/x"
        gone: Any = AsyncConnectionPool(address, min_size=0, max_size=2, open=False)
        async with gone, asyncio.timeout(1):
            store = TableStore(gone, clock)
            for _ in range(50):
                await store.put(KEY, b"v", "", OPTIONS)
                assert await store.find(KEY, "", OPTIONS) is None
        told = [record for record in caplog.records if record.name == table.__name__]
        assert len(told) == 1, "told once, not for every call"

    async def test_a_locked_table_is_not_waited_for(
        self, pool: Pool, store: TableStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "REST_S", 0.1)
        await store.put(KEY, b"v", "", OPTIONS)
        loop = asyncio.get_running_loop()
        async with locked(pool):
            began = loop.time()
            assert await store.find(KEY, "", OPTIONS) is None
            assert loop.time() - began < 0.4
            began = loop.time()
            assert await store.find(KEY, "", OPTIONS) is None
            assert loop.time() - began < 0.05, "it rests"
        await asyncio.sleep(0.15)
        assert await store.find(KEY, "", OPTIONS) is not None

    async def test_a_database_that_comes_back_is_used_again(
        self, pool: Pool, store: TableStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "REST_S", 0.0)
        await store.put(KEY, b"v", "", OPTIONS)
        async with pool.connection() as connection:
            await connection.execute("ALTER TABLE cached_answers RENAME TO away")
        assert await store.find(KEY, "", OPTIONS) is None
        async with pool.connection() as connection:
            await connection.execute("ALTER TABLE away RENAME TO cached_answers")
        assert await store.find(KEY, "", OPTIONS) is not None

    async def test_whoever_leaves_while_it_writes_has_kept_the_answer(
        self, pool: Pool, store: TableStore
    ) -> None:
        writing = asyncio.create_task(store.put(KEY, b"v", "", OPTIONS))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        await store.aclose()
        assert await keys(pool) == {KEY}


@asynccontextmanager
async def locked(pool: Pool) -> AsyncIterator[None]:
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE cached_answers")
        yield
