"""The store in memory forgets what is old, and what is used least when it is full."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.cache.store import MOST_MARKS, OVERHEAD_BYTES, CacheOptions, MemoryStore

OPTIONS = CacheOptions(ttl=timedelta(hours=1))


def room_for(entries: int) -> CacheOptions:
    return CacheOptions(max_bytes=entries * (OVERHEAD_BYTES + 1))


@pytest.fixture
def store(clock: Any) -> MemoryStore:
    return MemoryStore(clock)


async def has(store: MemoryStore, key: bytes) -> bool:
    return await store.find(key, "", OPTIONS) is not None


async def test_a_value_lives_as_long_as_it_may(store: MemoryStore, clock: Any) -> None:
    await store.put(b"k", b"v", "", OPTIONS)
    clock.advance(minutes=59)
    assert await has(store, b"k")
    clock.advance(minutes=1)
    assert not await has(store, b"k")


async def test_what_is_used_least_goes_first(store: MemoryStore) -> None:
    for key in (b"a", b"b", b"c"):
        await store.put(key, b"v", "", room_for(3))
    assert await has(store, b"a")
    await store.put(b"d", b"v", "", room_for(3))
    assert [await has(store, key) for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


async def test_a_value_takes_the_place_of_the_older_one(store: MemoryStore) -> None:
    await store.put(b"a", b"1", "x", room_for(1))
    await store.put(b"a", b"2", "y", room_for(1))
    kept = await store.find(b"a", "", OPTIONS)
    assert kept is not None
    assert (kept.value, kept.given) == (b"2", ("y",))


async def test_it_is_told_who_had_the_value_before(store: MemoryStore) -> None:
    await store.put(b"a", b"1", "x", OPTIONS)
    given = []
    for mark in ("y", "x", "z"):
        kept = await store.find(b"a", mark, OPTIONS)
        given.append(kept.given if kept else None)
    assert given == [("x",), ("x", "y"), ("x", "y")]


async def test_only_the_latest_marks_are_kept(store: MemoryStore) -> None:
    await store.put(b"a", b"1", "first", OPTIONS)
    for number in range(MOST_MARKS):
        await store.find(b"a", str(number), OPTIONS)
    kept = await store.find(b"a", "", OPTIONS)
    assert kept is not None
    assert kept.given == tuple(str(number) for number in range(MOST_MARKS))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.booleans()), max_size=30))
async def test_it_never_holds_more_than_it_may(steps: list[tuple[int, int, bool]]) -> None:

    options = CacheOptions(max_bytes=3 * OVERHEAD_BYTES)
    store = MemoryStore(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for number, size, removes in steps:
        key = bytes([number])
        if removes:
            await store.remove(key)
        else:
            await store.put(key, b"v" * size, "", options)
        held = [len(kept.value) + OVERHEAD_BYTES for kept in store._kept.values()]
        assert store._bytes == sum(held) <= options.max_bytes
