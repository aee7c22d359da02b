"""Parked runs: joined within a run, replaced by a later one, kept while the database is away."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from potluck.quota.parked_run import MemoryShelf, ParkedRun
from potluck.quota.parking import ParkedRuns

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def run(thread_id: str = "t", run_id: str = "r1", *, in_s: float = 60, **more: Any) -> ParkedRun:
    resume_at = NOW + timedelta(seconds=in_s)
    return ParkedRun(thread_id, run_id, resume_at, NOW, "spent", **more)


@pytest.fixture
def parking() -> ParkedRuns:
    return ParkedRuns(clock=lambda: NOW)


async def test_the_next_one_due_comes_first(parking: ParkedRuns) -> None:
    for place, in_s in enumerate((300, 10, 60)):
        await parking.note(run(f"t{place}", in_s=in_s))
    assert [one.thread_id for one in await parking.list()] == ["t1", "t2", "t0"]


async def test_what_one_run_parks_side_by_side_is_one(parking: ParkedRuns) -> None:
    await parking.note(run(in_s=60, waiting_for=("a", "b"), times=2))
    await parking.note(run(in_s=90, waiting_for=("b", "c")))
    found = await parking.find("t")
    assert found == run(in_s=60, waiting_for=("a", "b", "c"), times=2)


async def test_a_later_run_takes_the_place_of_an_earlier_one(parking: ParkedRuns) -> None:
    await parking.note(run(in_s=60, waiting_for=("a",)))
    await parking.note(run(run_id="r2", in_s=90, waiting_for=("b",)))
    assert await parking.list() == [run(run_id="r2", in_s=90, waiting_for=("b",))]


async def test_who_removes_an_earlier_run_leaves_the_later_one(parking: ParkedRuns) -> None:
    await parking.note(run(run_id="r2"))
    await parking.remove(run(run_id="r1"))
    await parking.move(run(run_id="r1"), NOW)
    assert await parking.list() == [run(run_id="r2")]
    await parking.remove(run(run_id="r2"))
    assert await parking.find("t") is None


async def test_moving_wakes_whoever_watches(parking: ParkedRuns) -> None:
    await parking.note(run())
    parking.changed.clear()
    await parking.move(run(), NOW)
    assert parking.changed.is_set()
    assert await parking.list() == [replace(run(), resume_at=NOW)]


async def test_a_thread_is_locked_by_one_alone(parking: ParkedRuns) -> None:
    async with parking.lock("t") as ours, parking.lock("t") as again, parking.lock("u") as other:
        assert (ours, again, other) == (True, False, True)
    async with parking.lock("t") as ours:
        assert ours


@pytest.mark.parametrize(
    ("context", "priority"),
    [
        ({}, "interactive"),
        ({"priority": "batch"}, "batch"),
        ({"priority": "background"}, "background"),
        ({"priority": "odd"}, "interactive"),
    ],
)
def test_the_priority_is_that_of_the_run(context: Any, priority: str) -> None:
    assert run(context=context).priority == priority


class Away(MemoryShelf):
    """A database that is away for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = True

    async def put(self, run: ParkedRun) -> None:
        if self.is_away:
            raise psycopg.OperationalError("connection refused")
        await super().put(run)

    def lock(self, thread_id: str) -> AbstractAsyncContextManager[bool]:
        return super().lock(thread_id)


async def test_nothing_is_lost_while_the_database_is_away(
    parking: ParkedRuns, caplog: pytest.LogCaptureFixture
) -> None:
    parking._shelf = shelf = Away()
    await parking.note(run("t1"))
    await parking.note(run("t2"))
    assert "until the database is back" in caplog.text
    with pytest.raises(psycopg.OperationalError):
        await parking.list()
    shelf.is_away = False
    assert [one.thread_id for one in await parking.list()] == ["t1", "t2"]
