"""Clients of the quota benchmark: who has failed, who comes back, and time that runs faster."""

import asyncio
import time

import pytest

from benchmarks.quota_cells import FastLoop, LaterError, Run, Tally, play_cell
from benchmarks.quota_tiers import Cell

RUN = Run(run_s=0.01, cool_down_s=5.0)
ONCE, BACK = Cell(1_000, "bursts"), Cell(1_000, "bursts", comes_back=True)
ASKED = len(ONCE.arrivals(RUN.run_s))


async def play(cell: Cell, *errors: Exception | None, run: Run = RUN) -> Tally:
    """Each client meets the errors in turn, then gets its answer."""
    met: dict[int, int] = {}

    async def ask(text: str, number: int) -> None:
        assert f"request {number}." in text
        met[number] = met.get(number, 0) + 1
        error = errors[met[number] - 1] if met[number] <= len(errors) else None
        if error is not None:
            raise error

    return await play_cell(cell, ask, run, asyncio.get_running_loop().time())


async def test_answers_are_counted() -> None:
    tally = await play(ONCE)
    assert ASKED > 10
    assert (tally.asked, tally.answered, tally.waited) == (ASKED, ASKED, 0)
    assert tally.as_json()["failed"] == 0


async def test_a_client_that_gets_an_error_has_failed() -> None:
    tally = await play(ONCE, LaterError(0.0))
    assert tally.as_json()["failed"] == ASKED
    assert tally.failures == {"LaterError: come back in 0.0 s": ASKED}


async def test_a_client_that_comes_back_asks_again_when_it_was_told_to() -> None:
    tally = await play(BACK, LaterError(0.0), LaterError(0.0))
    assert (tally.answered, tally.waited) == (ASKED, ASKED)


async def test_a_contender_that_keeps_the_work_asks_again_by_itself() -> None:
    tally = await play(ONCE, LaterError(0.0, kept=True))
    assert (tally.answered, tally.waited) == (ASKED, ASKED)


async def test_an_error_without_a_time_is_no_reason_to_come_back() -> None:
    tally = await play(BACK, ValueError("no"))
    assert tally.failures == {"ValueError: no": ASKED}


async def test_whoever_has_no_answer_at_the_end_has_failed() -> None:
    tally = await play(BACK, LaterError(60.0), run=Run(run_s=0.01, cool_down_s=0.01))
    assert tally.failures == {"no answer until the end": ASKED}


def test_time_runs_faster_in_a_fast_loop() -> None:
    began = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: FastLoop(1000.0)) as runner:
        runner.run(asyncio.sleep(30.0))
        with pytest.raises(TimeoutError):
            runner.run(asyncio.wait_for(asyncio.sleep(60.0), timeout=10.0))
    assert 0.04 <= time.monotonic() - began < 2.0


def test_the_time_of_a_run_is_the_worlds_at_its_start() -> None:
    now = time.time()
    assert Run(1, 1, speed=1.0, started_at=now).now() == pytest.approx(now, abs=1.0)
    assert Run(1, 1, speed=10.0, started_at=now - 6).now() == pytest.approx(now + 54, abs=5.0)
