"""Becomes a program inside a sandbox, for who can only start a command line and talk to it.

Run as `python -m potluck.sandbox.enter`, with what `entrance` makes in its environment.
"""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from potluck.errors import PotluckError
from potluck.sandbox.bubblewrap import Program
from potluck.sandbox.launch import numbered
from potluck.sandbox.probe import find_launcher
from potluck.settings import PROGRAM_VARIABLE, Settings, program_to_enter

MODULE = "potluck.sandbox.enter"


def entrance(
    workspace: Path, program: Program, *, network: bool
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command that starts the program in a sandbox around the workspace, and its environment.

    The program's own variables may be secrets: they are in no command line.
    """
    asked = {
        "workspace": str(workspace),
        "argv": program.argv,
        "env": dict(program.env),
        "read": [str(path) for path in program.read],
        "write": [str(path) for path in program.write],
        "network": network,
    }
    return (sys.executable, "-m", MODULE), {PROGRAM_VARIABLE: json.dumps(asked)}


def enter(text: str) -> None:
    """Take the program's place in this process; only an error comes back.

    Raises SandboxError when there is no sandbox, OSError when it cannot be started.
    """
    asked = json.loads(text)
    workspace = Path(asked["workspace"])
    launcher = replace(asyncio.run(find_launcher(Settings.load())), network=asked["network"])
    launcher.prepare(workspace)
    program = Program(
        tuple(asked["argv"]),
        asked["env"],
        tuple(map(Path, asked["read"])),
        tuple(map(Path, asked["write"])),
    )
    launch = launcher.run_program(workspace, program)
    numbers: list[int] = []
    argv = numbered(launch.argv, numbers)
    for number in numbers:
        os.set_inheritable(number, True)  # noqa: FBT003 - its only form
    os.execvpe(argv[0], argv, dict(launch.env))  # noqa: S606 - that is what this module is for


if __name__ == "__main__":
    try:
        enter(program_to_enter())
    except (PotluckError, OSError) as error:
        sys.exit(f"potluck: {error}")
