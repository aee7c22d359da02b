"""Is there a sandbox on this machine? Found out by running one, with the exact fix when not."""

import asyncio
import contextlib
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from potluck.errors import SandboxError
from potluck.sandbox.bubblewrap import Bubblewrap
from potluck.sandbox.host import Host
from potluck.sandbox.interpreter import Interpreter
from potluck.sandbox.kernel import Kernel
from potluck.sandbox.limits import MIB, Limits
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.runner import NoRunner, Runner
from potluck.sandbox.seccomp import supported
from potluck.sandbox.shell import run_command
from potluck.settings import Settings

OLDEST_BUBBLEWRAP = (0, 8, 0)
OLDEST_KERNEL = (5, 14)
ASK_TIMEOUT_S = 10.0
INSTALL = "Install bubblewrap: `apt install bubblewrap`, `dnf install bubblewrap`, or the like."
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_USERNS_CLONE = Path("/proc/sys/kernel/unprivileged_userns_clone")
_APPARMOR_FIX = (
    "Ubuntu keeps programs from making user namespaces. Allow it to bubblewrap: write "
    "`abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap "
    "flags=(unconfined) { userns, }` to /etc/apparmor.d/bwrap, then "
    "`sudo systemctl reload apparmor`."
)
_CONTAINER_FIX = (
    "In a container, start it with `--security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined`, and as root "
    "also with `--cap-add SYS_ADMIN --cap-add NET_ADMIN`."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says of the sandbox: whether it works, in a sentence, and the fix."""

    state: Literal["ok", "off", "bad"]
    text: str
    fix: str | None = None


async def probe(settings: Settings) -> Finding:
    """Run a command and a Python cell in a sandbox, as the tools do."""
    if settings.potluck_sandbox == "off":
        return Finding("off", "switched off by POTLUCK_SANDBOX: no code is run")
    try:
        launcher = await find_launcher(settings)
        async with _folder() as folder:
            kernel = await Kernel.start(launcher, folder, limits_of(settings))
            try:
                outcome = await kernel.run("print(6 * 7)", timeout_s=ASK_TIMEOUT_S)
            finally:
                await kernel.stop()
        if outcome.text.strip() != "42":
            return Finding("bad", f"a Python cell gave {outcome.text!r}, not 42", INSTALL)
    except SandboxError as error:
        return _without(settings, error)
    user = "as a user of its own" if launcher.as_root else "in a user namespace"
    network = "with network" if launcher.network else "without network"
    text = f"bubblewrap, {user}, {network}; Python from {launcher.interpreter.executable}"
    return Finding("ok", text)


async def find_runner(
    settings: Settings, *, workspaces: Path, clock: Callable[[], datetime]
) -> Runner:
    """Who runs code on this machine: bubblewrap; else as the settings allow; else nobody."""
    limits = limits_of(settings)
    if settings.potluck_sandbox == "off":
        off = SandboxError("running code is switched off.", fix="Set POTLUCK_SANDBOX=auto.")
        return NoRunner(off)
    try:
        launcher = await find_launcher(settings)
    except SandboxError as error:
        if settings.potluck_sandbox == "host" and os.name == "posix":
            try:
                host = Host(await _interpreter(settings))
            except SandboxError as no_python:
                return NoRunner(no_python)
            return Sandboxes(host, workspaces, limits=limits, clock=clock, each_approved=True)
        return _monty(limits, error) or NoRunner(error)
    return Sandboxes(launcher, workspaces, limits=limits, clock=clock)


async def find_launcher(settings: Settings) -> Bubblewrap:
    """bubblewrap, after it has run something. Raises SandboxError with the fix."""
    program = await asyncio.to_thread(_program)
    await _refuse_old(program)
    launcher = Bubblewrap(
        program, await _interpreter(settings), limits_of(settings),
        network=settings.potluck_sandbox_network, as_root=os.geteuid() == 0,
    )  # fmt: skip
    async with _folder() as folder:
        try:
            ran = await run_command(
                launcher, folder, "true", limits=launcher.limits, timeout_s=ASK_TIMEOUT_S
            )
        except SandboxError as error:
            fix = await asyncio.to_thread(_why_no_walls)
            raise SandboxError(error.message, fix=fix) from error
    if not ran.ok:
        said = " ".join(ran.text.split())[:300] or ran.note or f"exit code {ran.exit_code}"
        fix = await asyncio.to_thread(_why_no_walls)
        raise SandboxError(f"bubblewrap does not work here: {said}.", fix=fix)
    return launcher


def limits_of(settings: Settings) -> Limits:
    """The limits, with what the settings change."""
    return Limits(
        memory_bytes=settings.potluck_sandbox_memory_mb * MIB,
        disk_bytes=settings.potluck_sandbox_disk_mb * MIB,
        max_timeout_s=settings.potluck_sandbox_timeout_s,
        default_timeout_s=min(60.0, settings.potluck_sandbox_timeout_s),
    )


@contextlib.asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="potluck-probe-"))
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _program() -> str:
    if not sys.platform.startswith("linux"):
        raise SandboxError(
            f"There is no sandbox for {platform.system()}.",
            fix="Run Potluck on Linux, or on Windows in WSL 2.",
        )
    if not supported():
        raise SandboxError(
            f"There is no system call filter for {platform.machine()} processors.",
            fix="Run Potluck on x86_64 or aarch64.",
        )
    release = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
    if os.geteuid() != 0 and release < OLDEST_KERNEL:
        raise SandboxError(
            f"Linux {platform.release()} cannot count the processes of one sandbox.",
            fix="Update to Linux 5.14 or newer, or run Potluck as root.",
        )
    needed = ("prlimit", "setpriv") if os.geteuid() == 0 else ("prlimit",)
    for tool in needed:
        if shutil.which(tool, path="/usr/bin:/bin") is None:
            raise SandboxError(f"{tool} is missing.", fix="Install util-linux.")
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError("bubblewrap is not installed.", fix=INSTALL)
    return program


async def _refuse_old(program: str) -> None:
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            asked = await asyncio.create_subprocess_exec(
                program, "--version", stdout=asyncio.subprocess.PIPE
            )
            answer, _ = await asked.communicate()
    except (OSError, TimeoutError) as error:
        raise SandboxError(f"{program} does not run: {error}.", fix=INSTALL) from error
    found = tuple(map(int, re.findall(rb"\d+", answer)[:3]))
    if found < OLDEST_BUBBLEWRAP:
        shown = ".".join(map(str, found)) or "of no known version"
        raise SandboxError(
            f"bubblewrap {shown} is too old: 0.8.0 or newer is needed.",
            fix="Update it, say with Debian 12, Ubuntu 24.04 or Fedora 38.",
        )


async def _interpreter(settings: Settings) -> Interpreter:
    chosen = settings.potluck_sandbox_python
    if chosen is None:
        return await asyncio.to_thread(Interpreter.own)
    return await Interpreter.at(chosen)


def _why_no_walls() -> str:
    if _is(_APPARMOR, "1"):
        return _APPARMOR_FIX
    if _is(_USERNS_CLONE, "0"):
        return "Allow user namespaces: `sudo sysctl -w kernel.unprivileged_userns_clone=1`."
    return _CONTAINER_FIX


def _is(file: Path, value: str) -> bool:
    try:
        return file.read_text().strip() == value
    except OSError:
        return False


def _monty(limits: Limits, reason: SandboxError) -> Runner | None:
    if importlib.util.find_spec("pydantic_monty") is None:
        return None
    from potluck.sandbox.monty import MontyRunner  # noqa: PLC0415 - not to be had everywhere

    return MontyRunner(limits, reason)


def _without(settings: Settings, error: SandboxError) -> Finding:
    if settings.potluck_sandbox == "host":
        text = f"none ({error.message}); code runs on this machine when a person approves it"
        return Finding("off", text, error.fix)
    if importlib.util.find_spec("pydantic_monty") is not None:
        return Finding("off", f"only Python without libraries: {error.message}", error.fix)
    return Finding("bad", f"none, so no code is run: {error.message}", error.fix)
