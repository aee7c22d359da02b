"""Playing the cells of the quota benchmark: clients who ask at their times, and what they get.

Nothing but the standard library is imported here: peers run it in environments of their own.
"""

import asyncio
import functools
import selectors
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.quota_tiers import Cell, prompt

COME_BACK_S = 5.0
LAG_CHECK_S = 0.05

type Ask = Callable[[str, int], Awaitable[None]]
"""Asks for the answer to a prompt with a number. Raises LaterError when told to come back."""


class LaterError(Exception):
    """Nobody could answer now. `wait_s`: when to ask again, if that was told.

    `kept` when the contender itself asks again then, so that its user is not told of a failure.
    """

    def __init__(self, wait_s: float | None, *, kept: bool = False) -> None:
        super().__init__(f"come back in {wait_s} s")
        self.wait_s = wait_s
        self.kept = kept


@dataclass(frozen=True, slots=True)
class Run:
    """How long demand lasts, how long is waited after it, and how fast time runs."""

    run_s: float
    cool_down_s: float
    speed: float = 1.0
    started_at: float = 0.0

    @property
    def end_s(self) -> float:
        """When whoever has no answer has failed."""
        return self.run_s + self.cool_down_s

    def now(self) -> float:
        """The time of the run, in seconds since the epoch: as fast as the simulator's."""
        return self.started_at + (time.time() - self.started_at) * self.speed


@dataclass(slots=True)
class Tally:
    """What the clients of one cell have got."""

    asked: int = 0
    answered: int = 0
    waited: int = 0
    tries: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """The figures of this cell."""
        took = sorted(self.took_s)
        return {
            "asked": self.asked,
            "answered": self.answered,
            "failed": self.asked - self.answered,
            "waited": self.waited,
            "tries": self.tries,
            "failures": dict(self.failures.most_common(5)),
            "p50_s": round(statistics.median(took), 2) if took else None,
            "p95_s": round(took[len(took) * 95 // 100], 2) if took else None,
        }


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose time runs faster than the world's: sleeps and timeouts are shorter."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        super().__init__(_FastSelector(speed))

    def time(self) -> float:
        """Seconds of this loop's time."""
        return super().time() * self._speed


class _FastSelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._speed)


def loop_factory(speed: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes the loop for a run of this speed."""
    return asyncio.new_event_loop if speed == 1.0 else functools.partial(FastLoop, speed)


async def play(cells: Sequence[Cell], asks: Sequence[Ask], run: Run) -> dict[str, object]:
    """Say that all is ready, wait for the starting time, and play all cells at once."""
    print("ready", flush=True)
    line = await asyncio.to_thread(sys.stdin.readline)
    loop = asyncio.get_running_loop()
    zero = loop.time() + (float(line) - time.time()) * run.speed
    lags = Lags()
    watching = asyncio.create_task(lags.watch())
    cpu_s, began = time.process_time(), time.monotonic()
    tallies = await asyncio.gather(
        *(play_cell(cell, ask, run, zero) for cell, ask in zip(cells, asks, strict=True))
    )
    watching.cancel()
    took_s = time.monotonic() - began
    return {
        "cells": {cell.name: tally.as_json() for cell, tally in zip(cells, tallies, strict=True)},
        "cpu_share": round((time.process_time() - cpu_s) / took_s, 3),
        "loop_lag_p99_ms": lags.p99_ms(),
    }


class Lags:
    """How late the event loop is: a sign that the machine is too busy to measure on."""

    def __init__(self) -> None:
        self._lags_s: list[float] = []

    async def watch(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_CHECK_S
            await asyncio.sleep(LAG_CHECK_S)
            self._lags_s.append(loop.time() - due)

    def p99_ms(self) -> float:
        """In milliseconds of the loop's time."""
        lags = sorted(self._lags_s) or [0.0]
        return round(lags[len(lags) * 99 // 100] * 1000, 1)


async def play_cell(cell: Cell, ask: Ask, run: Run, zero: float) -> Tally:
    """Let the cell's clients come in from `zero` on, in the loop's time; count what they get."""
    tally = Tally()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        for number, arrival_s in enumerate(cell.arrivals(run.run_s)):
            await asyncio.sleep(max(0.0, zero + arrival_s - loop.time()))
            tally.asked += 1
            client = _Client(cell, ask, number, zero + run.end_s)
            group.create_task(client.get_answer(tally))
    return tally


@dataclass(frozen=True, slots=True)
class _Client:
    cell: Cell
    ask: Ask
    number: int
    end: float

    async def get_answer(self, tally: Tally) -> None:
        """Ask, again and again if that is what was told, until the end."""
        loop = asyncio.get_running_loop()
        came = loop.time()
        waited = False
        try:
            async with asyncio.timeout_at(self.end):
                tally.tries += 1
                while not await self._asked_well():
                    waited = True
                    tally.tries += 1
        except TimeoutError:
            tally.failures["no answer until the end"] += 1
            return
        except Exception as error:  # noqa: BLE001 # whatever reaches the client is a failure
            tally.failures[f"{type(error).__name__}: {str(error)[:160]}"] += 1
            return
        tally.answered += 1
        tally.waited += waited
        tally.took_s.append(loop.time() - came)

    async def _asked_well(self) -> bool:
        try:
            await self.ask(prompt(self.number), self.number)
        except LaterError as later:
            if not (later.kept or self.cell.comes_back):
                raise
            await asyncio.sleep(COME_BACK_S if later.wait_s is None else max(0.0, later.wait_s))
            return False
        return True
