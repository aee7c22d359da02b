"""An eye on what runs: memory, disk and output, looked at a few times a second."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import psutil

from potluck.sandbox.disk import contents
from potluck.sandbox.family import family
from potluck.sandbox.limits import MIB, Limits
from potluck.sandbox.outcome import Stop
from potluck.sandbox.output import Output

PULSE_S = 0.1
LOOK_EVERY = 3
_RUNTIME_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class Excess:
    """More than is allowed, of what, and in words."""

    kind: Stop
    text: str


async def until_excess(
    pid: int, folders: tuple[Path, ...], limits: Limits, output: Output
) -> Excess:
    """Tell output as it comes; returns when the process and its children have too much.

    The first folder is the workspace, the others hold small change.
    """
    pulse = 0
    while True:
        await asyncio.sleep(PULSE_S)
        pulse += 1
        output.flush()
        if output.seen_chars > limits.flood_bytes:
            return Excess("output", f"it wrote more than {limits.flood_bytes:,} characters")
        if pulse % LOOK_EVERY == 0:
            excess = await asyncio.to_thread(_look, pid, folders, limits)
            if excess is not None:
                return excess


def _look(pid: int, folders: tuple[Path, ...], limits: Limits) -> Excess | None:
    if memory_bytes(pid, limits.memory_bytes) > limits.memory_bytes:
        return Excess("memory", f"it took more than {limits.memory_bytes // MIB:,} MiB of memory")
    return excess_on_disk(folders, limits)


def excess_on_disk(folders: tuple[Path, ...], limits: Limits) -> Excess | None:
    """What is too much on disk, if anything."""
    workspace, *others = folders
    trouble = contents(workspace, limits).trouble
    for folder in others:
        if contents(folder, limits).size_bytes > _RUNTIME_BYTES:
            trouble = "it wrote files where only its sockets belong"
    return Excess("disk", trouble) if trouble else None


def memory_bytes(pid: int, enough_to_ask: int) -> int:
    """The memory of a process and all that came of it; shared pages count once if it is much."""
    members = family(pid)
    resident = sum(_resident(process) for process in members)
    if resident <= enough_to_ask:
        return resident
    return sum(_own_share(process) for process in members)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _own_share(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return _resident(process)
    except psutil.Error:
        return 0
    return int(getattr(full, "pss", full.rss))
