"""A kernel kept ready in a folder of its own, which becomes the workspace of who takes it."""

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from potluck.errors import SandboxError
from potluck.sandbox.kernel import Kernel

_NAME = ".spare"
Start = Callable[[Path], Awaitable[Kernel]]


class Spare:
    """One kernel that waits. Its folder takes the place of an empty workspace in one step."""

    def __init__(self, folder: Path, start: Start) -> None:
        self._folder = folder
        self._start = start
        self._waiting: asyncio.Task[Kernel] | None = None

    def make(self) -> None:
        """Begin to start a kernel, unless one waits or starts already."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._made())

    async def take(self, workspace: Path) -> Kernel | None:
        """The waiting kernel, now in this workspace; None where there is none, or files are."""
        waiting = self._waiting
        if waiting is None or not await asyncio.to_thread(_is_empty, workspace):
            return None
        self._waiting = None
        try:
            kernel = await asyncio.shield(waiting)
        except SandboxError:
            return None
        except asyncio.CancelledError:
            self._waiting = waiting
            raise
        if kernel.alive and await asyncio.to_thread(_moved, kernel.workspace, workspace):
            kernel.workspace = workspace
            return kernel
        await self._discard(kernel)
        return None

    async def aclose(self) -> None:
        """End the waiting kernel."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        waiting.cancel()
        with contextlib.suppress(SandboxError, asyncio.CancelledError):
            await self._discard(await waiting)

    async def _made(self) -> Kernel:
        await asyncio.to_thread(_clear_abandoned, self._folder)
        name = f"{_NAME}-{os.getpid()}-{secrets.token_hex(6)}"
        folder = self._folder / name
        try:
            return await self._start(folder)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise

    async def _discard(self, kernel: Kernel) -> None:
        await kernel.stop()
        await asyncio.to_thread(shutil.rmtree, kernel.workspace, ignore_errors=True)


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except FileNotFoundError:
        return True


def _moved(folder: Path, workspace: Path) -> bool:
    """Put one folder in the place of another, which must be empty or missing."""
    try:
        folder.rename(workspace)
    except OSError:
        return False
    return True


def _clear_abandoned(folder: Path) -> None:
    """Remove the spare folders of servers that are gone."""
    for found in folder.glob(f"{_NAME}-*-*"):
        owner = found.name.split("-")[1]
        if not owner.isdecimal() or not psutil.pid_exists(int(owner)):
            shutil.rmtree(found, ignore_errors=True)
