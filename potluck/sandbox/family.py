"""The processes of one sandbox, seen from outside."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

END_TIMEOUT_S = 5.0
_PASSES = 100
_PAUSE_S = 0.005


def family(pid: int) -> list[psutil.Process]:
    """The process and everything that descends from it, as far as it lives."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end_all_but(kept: frozenset[int], root: int) -> bool:
    """Kill what descends from `root`, the kept ones apart. False if something lives on."""
    for _ in range(_PASSES):
        if not any(_children(pid) - kept for pid in kept):
            return True
        others = [process for process in family(root) if process.pid not in kept]
        living = [process for process in others if _lives(process)]
        if not living:
            return True
        for process in living:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(_PAUSE_S)
    return False


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process with its group and descendants, and wait until it is gone."""
    if process.returncode is None:
        await asyncio.to_thread(_kill_all, process.pid)
    # What it left behind without walls around it is still in its group
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_TIMEOUT_S):
            await process.wait()


def _kill_all(pid: int) -> None:
    for member in family(pid):
        with contextlib.suppress(psutil.Error):
            member.kill()


def _children(pid: int) -> set[int]:
    """The direct children; much quicker than asking for every process of the machine."""
    found: set[int] = set()
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.update(map(int, (task / "children").read_text().split()))
    except FileNotFoundError:
        return {child.pid for child in family(pid)[1:]}
    except OSError:
        pass
    return found


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
