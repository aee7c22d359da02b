"""The table of parked runs does what the one in memory does, and locks over connections."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from potluck.pool import Pool
from potluck.quota.parked_run import MemoryShelf, ParkedRun, Shelf
from potluck.quota.parked_table import ParkedTable
from potluck.quota.parking import ParkedRuns

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def run(thread_id: str = "t", run_id: str = "r1", *, in_s: float = 60, **more: Any) -> ParkedRun:
    resume_at = NOW + timedelta(seconds=in_s)
    since = NOW + timedelta(seconds=more.pop("since_s", 0))
    return ParkedRun(thread_id, run_id, resume_at, since, "spent", **more)


NOTED = [
    run(waiting_for=("a", "b"), known_models=("a", "b"), context={"model": "a/b", "n": [1, None]}),
    run(in_s=30, since_s=5, waiting_for=("c", "b"), times=3, recursion_limit=50),
    run("u", waiting_for=("a",), times=4),
    run("u", "r2", in_s=90, since_s=60, waiting_for=("b",), context={"privacy": "private"}),
]


async def kept(shelf: Shelf) -> list[ParkedRun]:
    for one in NOTED:
        await shelf.put(one)
    return sorted(await shelf.read(), key=lambda one: one.thread_id)


async def test_keeps_what_memory_keeps(pool: Pool) -> None:
    table = ParkedTable(pool)
    found = await kept(table)
    assert found == await kept(MemoryShelf())
    assert await table.read("u") == [found[1]]
    assert await table.read("nobody") == []


async def test_who_comes_too_late_changes_nothing(pool: Pool) -> None:
    table = ParkedTable(pool)
    await table.put(run(run_id="r2"))
    await table.remove(run(run_id="r1"))
    await table.move(run(run_id="r1"), NOW)
    assert await table.read() == [run(run_id="r2")]
    await table.move(run(run_id="r2"), NOW)
    assert (await table.read())[0].resume_at == NOW
    await table.remove(run(run_id="r2"))
    assert await table.read() == []


async def test_a_thread_is_locked_by_one_replica_alone(pool: Pool) -> None:
    one, other = ParkedRuns(pool), ParkedRuns(pool)
    async with one.lock("t") as ours:
        assert ours
        async with other.lock("t") as theirs, other.lock("u") as free:
            assert (theirs, free) == (False, True)
    async with other.lock("t") as theirs:
        assert theirs


async def test_what_failed_inside_frees_the_thread(pool: Pool) -> None:
    one, other = ParkedRuns(pool), ParkedRuns(pool)
    with pytest.raises(RuntimeError):
        async with one.lock("t"):
            raise RuntimeError
    async with other.lock("t") as theirs:
        assert theirs
