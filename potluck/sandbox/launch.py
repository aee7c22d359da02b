"""Starting the processes of a sandbox: what to run, and with which files open."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from potluck.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Launch:
    """A command; bytes in it are handed over as an open file, whose number takes their place."""

    argv: tuple[str | bytes, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None


class Launcher(Protocol):
    """Knows how to run model-written code on this machine."""

    def kernel(self, workspace: Path, runtime: Path) -> Launch:
        """The command of a Python kernel; `runtime` is the folder that holds its sockets."""
        ...

    def shell(self, workspace: Path, command: str) -> Launch:
        """The command that runs one line of shell."""
        ...

    def runtime_seen(self, runtime: Path) -> str:
        """Where the kernel sees its `runtime` folder."""
        ...

    def prepare(self, workspace: Path, *, runtime: Path | None = None) -> None:
        """Make the folders usable for the process that will run; may take a while."""
        ...


async def spawn(launch: Launch, *, stderr: int) -> asyncio.subprocess.Process:
    """Start it, with its output on a pipe and nothing to read. Raises SandboxError if it cannot.

    It must be called on the event loop's own thread: bubblewrap dies with the thread it came from.
    """
    numbers: list[int] = []
    argv = ["The command"]
    try:
        argv = await asyncio.to_thread(numbered, launch.argv, numbers)
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=dict(launch.env),
            cwd=launch.cwd,
            pass_fds=numbers,
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(
            f"{argv[0]} could not be started: {error.strerror or error}.",
            fix="Run `potluck check` to see what is missing.",
        ) from error
    finally:
        for number in numbers:
            os.close(number)


def numbered(argv: tuple[str | bytes, ...], numbers: list[int]) -> list[str]:
    """The command with numbers of open files in the place of bytes; adds these to `numbers`."""
    written: list[str] = []
    for part in argv:
        if isinstance(part, bytes):
            number = os.memfd_create("potluck")
            numbers.append(number)
            os.write(number, part)
            os.lseek(number, 0, os.SEEK_SET)
            written.append(str(number))
        else:
            written.append(part)
    return written
