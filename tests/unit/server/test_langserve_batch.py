"""A batch runs a few turns at a time, and stops as a whole."""

import asyncio

import pytest
from langchain_core.runnables import RunnableLambda

from potluck.errors import PotluckError
from potluck.server.langserve_batch import AT_A_TIME, BatchError, run_batch


class Work:
    """Turns that count how many are under way, and fail where told."""

    def __init__(self, fails: int | None = None) -> None:
        self.fails = fails
        self.running = 0
        self.most = 0
        self.ended: list[int] = []

    async def __call__(self, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0.001 if number == self.fails else 0.01)
            if number == self.fails:
                raise PotluckError("No.")
            self.ended.append(number)
        finally:
            self.running -= 1
        return number * 2


async def test_answers_in_order_with_a_few_at_a_time() -> None:
    work = Work()
    outputs = await run_batch(RunnableLambda(work.__call__), list(range(50)), None)
    assert outputs == [number * 2 for number in range(50)]
    assert work.most == AT_A_TIME


async def test_a_turn_that_fails_stops_the_others_and_is_named() -> None:
    work = Work(fails=1)
    with pytest.raises(BatchError, match=r"^Input 1 of the batch \(the first is 0\): No\.$"):
        await run_batch(RunnableLambda(work.__call__), list(range(50)), None)
    assert work.running == 0
    assert len(work.ended) <= AT_A_TIME


async def test_a_defect_comes_out_as_it_is() -> None:
    async def broken(_: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run_batch(RunnableLambda(broken), [1, 2], None)


async def test_a_batch_that_nobody_waits_for_ends() -> None:
    work = Work()
    task = asyncio.create_task(run_batch(RunnableLambda(work.__call__), list(range(50)), None))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.running == 0
    assert not work.ended
