"""The contests of the quota benchmark: who takes part in what, each on a simulator of its own."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.quota_cells import Run
from benchmarks.quota_tiers import Cell, theoretical_maximum

PROJECT_DIR = Path(__file__).parents[1]
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
AHEAD_S = 1.0
LINE_BYTES = 2**22

type Measured = dict[str, Any]  # Any: figures of many shapes, on their way into JSON


class ContestError(Exception):
    """A process of the benchmark did not do its part."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes part: the module that plays, its variant, and the cells it plays.

    One that needs several processes takes part several times under one name.
    """

    name: str
    module: str
    cells: Sequence[Cell]
    variant: str = ""
    python: Path = Path(sys.executable)


async def hold(contenders: Sequence[Contender], run: Run) -> dict[str, Measured]:
    """The figures of every contender in every cell; all play at the same time."""
    async with AsyncExitStack() as stack:
        entered = [
            await stack.enter_async_context(_entry(contender, run)) for contender in contenders
        ]
        await asyncio.gather(*(entry.wait_until_ready() for entry in entered))
        start_at = time.time() + AHEAD_S
        for entry in entered:
            await entry.start(start_at)
        told = await asyncio.gather(*(entry.figures() for entry in entered))
    measured: dict[str, Measured] = {}
    for contender, found in zip(contenders, told, strict=True):
        before = measured.get(contender.name)
        measured[contender.name] = found if before is None else _merged(before, found)
    return measured


@dataclass(frozen=True, slots=True)
class _Entry:
    contender: Contender
    run: Run
    simulator: Process
    player: Process

    async def wait_until_ready(self) -> None:
        if await _line(self.player, READY_TIMEOUT_S) != "ready":
            raise ContestError(f"{self.contender.name} was not ready: see its error above.")

    async def start(self, at: float) -> None:
        for process in (self.simulator, self.player):
            await _tell(process, repr(at))

    async def figures(self) -> Measured:
        longest_s = self.run.end_s / self.run.speed + STOP_TIMEOUT_S
        played: Measured = json.loads(await self._figures_line(longest_s))
        await _tell(self.simulator, "")
        seen: Measured = json.loads(await _line(self.simulator, STOP_TIMEOUT_S))
        cells = {
            cell.name: joined(played["cells"][cell.name], seen.get(cell.key, {}), self.run)
            for cell in self.contender.cells
        }
        return {**played, "cells": cells}

    async def _figures_line(self, timeout_s: float) -> str:
        async with asyncio.timeout(timeout_s):
            while line := await _line(self.player, timeout_s):
                if line.startswith("{"):
                    return line
                print(f"{self.contender.name}: {line}", file=sys.stderr)
        raise ContestError(f"{self.contender.name} broke down: see its error above.")


@asynccontextmanager
async def _entry(contender: Contender, run: Run) -> AsyncIterator[_Entry]:
    given = asdict(run)
    async with _process(
        Path(sys.executable), "benchmarks.quota_simulator", json.dumps(given)
    ) as simulator:
        url = await _line(simulator, READY_TIMEOUT_S)
        task = {
            "url": url,
            "run": given,
            "variant": contender.variant,
            "cells": [asdict(cell) for cell in contender.cells],
        }
        async with _process(contender.python, contender.module, json.dumps(task)) as player:
            yield _Entry(contender, run, simulator, player)


@asynccontextmanager
async def _process(python: Path, module: str, argument: str) -> AsyncIterator[Process]:
    # Nobody is to find a key, a proxy or a database of this machine
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        str(python), "-m", module, argument,
        cwd=PROJECT_DIR, env=env, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()


async def _line(process: Process, timeout_s: float) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(timeout_s):
        return (await process.stdout.readline()).decode().strip()


async def _tell(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()


def _merged(before: Measured, found: Measured) -> Measured:
    return {
        "cells": before["cells"] | found["cells"],
        "cpu_share": round(before["cpu_share"] + found["cpu_share"], 3),
        "loop_lag_p99_ms": max(before["loop_lag_p99_ms"], found["loop_lag_p99_ms"]),
    }


def joined(played: Measured, seen: Mapping[str, Measured], run: Run) -> Measured:
    """What the clients got beside what the providers saw of them."""
    admitted = sum(one["admitted"] for one in seen.values())
    # What was admitted, but reached no client, answered nobody
    lost = max(0, admitted - played["answered"])
    answered = sum(one["admitted_in_run"] for one in seen.values()) - lost
    maximum = theoretical_maximum(run.run_s, played["asked"])
    refused = {
        f"{provider}: {kind}": count
        for provider, one in seen.items()
        for kind, count in one["refused"].items()
    }
    worst = {
        f"{provider}: {kind}": count
        for provider, one in seen.items()
        for kind, count in one["worst"].items()
    }
    return {
        **played,
        "maximum": maximum,
        "answered_in_run": answered,
        "goodput": round(100 * answered / maximum, 1),
        "refusals": sum(refused.values()),
        "refused": refused,
        "worst_in_window": max(worst.values(), default=0),
        "worst": worst,
        "admitted": {provider: one["admitted_in_run"] for provider, one in seen.items()},
    }
