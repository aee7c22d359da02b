"""The contests of `benchmarks.sandbox`: the same work, in the sandbox and outside of it."""

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

from benchmarks import peers
from benchmarks.sandbox_escapes import ESCAPES, held
from benchmarks.sandbox_humaneval import PASSED, Problem
from benchmarks.sandbox_stage import open_stage
from potluck.sandbox.bubblewrap import Bubblewrap
from potluck.sandbox.kernel import Kernel
from potluck.sandbox.limits import Limits
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.probe import find_launcher
from potluck.sandbox.shell import run_command
from potluck.settings import Settings

PROJECT_DIR = Path(__file__).parents[1]
PEER = ("langchain==1.4.7",)
PEER_TIMEOUT_S = 240.0
LIMITS = Limits()
CELL = "1 + 1"
COMMAND = "echo hello"
FLOOD = "head -c 50000000 /dev/zero | tr '\\0' x; printf THE-END"

# What was found of one contender, by name; what a peer prints is JSON
Measured = dict[str, Any]
Act = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    cells: int
    commands: int
    starts: int
    problems: int


async def measure_ours(size: Size, problems: Sequence[Problem]) -> dict[str, Measured]:
    """Potluck's sandbox, a bare ipykernel and shell, and `bwrap` alone. Raises SandboxError."""
    launcher = await find_launcher(Settings.load())
    home = Path(tempfile.mkdtemp(prefix="potluck-benchmark-"))
    try:
        workspaces = await asyncio.to_thread(_folder, home)
        measured = await _cells(size, launcher, workspaces)
        for name, found in (await _commands(size, launcher, workspaces)).items():
            measured.setdefault(name, {}).update(found)
        ours = measured["potluck"]
        ours |= await _pool(size, launcher, workspaces)
        ours |= await _escapes(launcher, workspaces)
        if problems:
            ours |= await _humaneval(problems, launcher, workspaces)
        return measured
    finally:
        await asyncio.to_thread(shutil.rmtree, home)


def measure_shell_middleware(size: Size, folder: Path) -> Measured:
    """LangChain's ShellToolMiddleware with a policy that runs its shell in bubblewrap.

    Raises PeerMissingError when it cannot be had.
    """
    python = peers.python_with("shell-middleware", PEER, folder)
    given = json.dumps({**asdict(size), "flood": FLOOD, "command": COMMAND})
    answer = peers.run(
        python, "benchmarks.sandbox_middleware", given, cwd=PROJECT_DIR, timeout_s=PEER_TIMEOUT_S
    )
    read: Measured = json.loads(answer)
    return read


def _folder(home: Path) -> Path:
    home.chmod(0o755)
    (home / "workspaces").mkdir()
    return home / "workspaces"


async def _cells(size: Size, launcher: Bubblewrap, workspaces: Path) -> dict[str, Measured]:
    """Cells in turn in the sandbox and in a bare ipykernel, so that both have the same machine."""
    cold: dict[str, list[float]] = {"potluck": [], "bare": []}
    for number in range(size.starts):
        began = time.perf_counter()
        kernel = await Kernel.start(launcher, workspaces / f"cold-{number}", LIMITS)
        await kernel.run(CELL, timeout_s=10)
        cold["potluck"].append(_ms_since(began))
        await kernel.stop()
        began = time.perf_counter()
        manager, client = await _bare_kernel()
        await client.execute_interactive(CELL, output_hook=_ignore)
        cold["bare"].append(_ms_since(began))
        await _end_bare(manager, client)
    kernel = await Kernel.start(launcher, workspaces / "cells", LIMITS)
    manager, client = await _bare_kernel()
    try:
        times = await _in_turn(
            size.cells,
            {
                "potluck": lambda: kernel.run(CELL, timeout_s=10),
                "bare": lambda: client.execute_interactive(CELL, output_hook=_ignore),
            },
        )
        idle = {
            "potluck": _memory_mb(kernel.process.pid),
            "bare": _memory_mb(manager.provisioner.pid),
        }
    finally:
        await kernel.stop()
        await _end_bare(manager, client)
    return {
        name: {
            "cold_ms": statistics.median(cold[name]),
            "idle_mb": idle[name],
            **_spread("cell", times[name]),
        }
        for name in times
    }


async def _bare_kernel() -> tuple[AsyncKernelManager, AsyncKernelClient]:
    manager = AsyncKernelManager(transport="ipc", ip=f"{tempfile.mkdtemp()}/k")
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=argv, language="python", display_name="bare")  # noqa: SLF001 - the way to do without an installed kernel
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    return manager, client


async def _end_bare(manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    await asyncio.to_thread(shutil.rmtree, Path(manager.ip).parent)


async def _commands(size: Size, launcher: Bubblewrap, workspaces: Path) -> dict[str, Measured]:
    workspace = workspaces / "commands"

    async def in_sandbox(command: str = COMMAND) -> str:
        done = await run_command(launcher, workspace, command, limits=LIMITS, timeout_s=60)
        return done.text

    walls = ("bwrap", "--unshare-all", "--dev-bind", "/", "/", "bash", "-c", COMMAND)
    times = await _in_turn(
        size.commands,
        {
            "potluck": in_sandbox,
            "bare": lambda: _plain("bash", "-c", COMMAND),
            "bwrap": lambda: _plain(*walls),
        },
    )
    found = {name: _spread("command", spent) for name, spent in times.items()}
    began = time.perf_counter()
    text = await in_sandbox(FLOOD)
    found["potluck"] |= {"flood_ms": _ms_since(began), "flood_end_kept": text.endswith("THE-END")}
    return found


async def _plain(*argv: str) -> None:
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    await process.communicate()


async def _pool(size: Size, launcher: Bubblewrap, workspaces: Path) -> Measured:
    """First cells of new threads, each with a spare session waiting."""
    pool = _opened(launcher, workspaces)
    times = []
    try:
        for number in range(size.starts):
            pool.warm_up()
            await asyncio.sleep(2)
            began = time.perf_counter()
            await pool.python(workspaces / f"warm-{number}", CELL)
            times.append(_ms_since(began))
            await pool.forget(workspaces / f"warm-{number}")
    finally:
        await pool.aclose()
    return {"warm_ms": statistics.median(times)}


async def _escapes(launcher: Bubblewrap, workspaces: Path) -> Measured:
    pool = _opened(launcher, workspaces)
    failed = []
    try:
        async with open_stage(workspaces, in_user_namespace=not launcher.as_root) as stage:
            for escape in ESCAPES:
                run = pool.python if escape.tool == "python" else pool.shell
                script = escape.script(stage.values)
                outcome = await run(workspaces / "escapes", script, timeout_s=30)
                if not held(outcome.text) or stage.contacts:
                    failed.append(escape.name)
                stage.contacts.clear()
    finally:
        await pool.aclose()
    return {"tried": len(ESCAPES), "held": len(ESCAPES) - len(failed), "escaped": failed}


async def _humaneval(
    problems: Sequence[Problem], launcher: Bubblewrap, workspaces: Path
) -> Measured:
    pool = _opened(launcher, workspaces)
    solved, controls, times = [], [], []
    try:
        for problem in problems:
            began = time.perf_counter()
            outcome = await pool.python(workspaces / "humaneval", problem.cell(), timeout_s=30)
            times.append(_ms_since(began))
            solved.append(PASSED in outcome.text)
            cell = problem.cell(control=True)
            outcome = await pool.python(workspaces / "humaneval", cell, timeout_s=30)
            controls.append(PASSED in outcome.text)
    finally:
        await pool.aclose()
    return {
        "problems": len(problems), "solved": sum(solved), "controls_solved": sum(controls),
        "problem_p50_ms": statistics.median(times),
        "unsolved": [p.name for p, done in zip(problems, solved, strict=True) if not done],
    }  # fmt: skip


def _opened(launcher: Bubblewrap, workspaces: Path) -> Sandboxes:
    return Sandboxes(launcher, workspaces, limits=LIMITS, clock=lambda: datetime.now(UTC))


async def _in_turn(count: int, acts: Mapping[str, Act]) -> dict[str, list[float]]:
    """Milliseconds of each act, taken in turn, after a few that do not count."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(count + 5):
        for name, act in acts.items():
            began = time.perf_counter()
            await act()
            if number >= 5:
                times[name].append(_ms_since(began))
    return times


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _spread(name: str, times: Sequence[float]) -> Measured:
    ordered = sorted(times)
    return {
        f"{name}_p50_ms": statistics.median(ordered),
        f"{name}_p95_ms": ordered[int(len(ordered) * 0.95)],
    }


def _memory_mb(pid: int) -> float:
    """Of all its processes, what no other process shares."""
    root = psutil.Process(pid)
    family = [root, *root.children(recursive=True)]
    return sum(process.memory_full_info().uss for process in family) / 1e6


def _ignore(_: object) -> None:
    """Take in output as a client would, and do nothing with it."""
