"""Runs of one thread never overlap, whatever is cancelled."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from potluck.server.run_order import RunOrder


class Runs:
    """Executes jobs by taking notes; a job ends when it is told to."""

    def __init__(self) -> None:
        self.order = RunOrder(self.execute, self.cancelled)
        self.events: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, thread: str = "t") -> None:
        job: Any = SimpleNamespace(identity=SimpleNamespace(run_id=name, thread_id=thread))
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self.order(job))
        await self.settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.settle()

    async def cancel(self, name: str) -> None:
        self.tasks[name].cancel()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def execute(self, job: Any) -> None:
        name = job.identity.run_id
        self.events.append(f"{name} begins")
        try:
            await self.ends[name].wait()
        finally:
            self.events.append(f"{name} ends")

    async def cancelled(self, job: Any) -> None:
        self.events.append(f"{job.identity.run_id} never began")


@pytest.fixture
def runs() -> Runs:
    return Runs()


async def test_the_second_waits_for_the_first(runs: Runs) -> None:
    await runs.start("a")
    await runs.start("b")
    await runs.end("a")
    await runs.end("b")
    assert runs.events == ["a begins", "a ends", "b begins", "b ends"]


async def test_other_threads_do_not_wait(runs: Runs) -> None:
    await runs.start("a", "t1")
    await runs.start("b", "t2")
    assert runs.events == ["a begins", "b begins"]


async def test_cancelling_the_middle_one_lets_nobody_overtake(runs: Runs) -> None:
    for name in "abc":
        await runs.start(name)
    await runs.cancel("b")
    await runs.start("d")
    assert runs.events == ["a begins", "b never began"]
    for name in "acd":
        await runs.end(name)
    assert runs.events[2:] == [
        "a ends", "c begins", "c ends", "d begins", "d ends",
    ]  # fmt: skip


async def test_cancelling_the_last_one_keeps_newcomers_waiting(runs: Runs) -> None:
    await runs.start("a")
    await runs.start("b")
    await runs.cancel("b")
    await runs.start("c")
    assert runs.events == ["a begins", "b never began"]


async def test_a_cancelled_run_gives_its_turn_to_the_next(runs: Runs) -> None:
    await runs.start("a")
    await runs.start("b")
    await runs.cancel("a")
    assert runs.events == ["a begins", "a ends", "b begins"]


async def test_nothing_is_kept_of_threads_that_are_done(runs: Runs) -> None:
    await runs.start("a")
    await runs.end("a")
    assert not runs.order._turns
    assert not runs.order._waiting
