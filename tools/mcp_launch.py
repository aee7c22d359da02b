"""The command that starts a local MCP server: in the sandbox, unless the user says otherwise."""

import shutil
from collections.abc import Callable
from pathlib import Path

from potluck.errors import ToolError
from potluck.sandbox.bubblewrap import Program
from potluck.sandbox.enter import entrance
from potluck.settings import Settings
from tools.mcp_file import ServerForm
from tools.mcp_server import Command


def launch_in(settings: Settings) -> Callable[[str, ServerForm], Command]:
    """A Launch that gives each server a folder of its own in the data folder.

    Raises ToolError when the server's program is not there.
    """

    def launch(name: str, form: ServerForm) -> Command:
        found = shutil.which(form.command or "")
        if found is None:
            raise ToolError(f"its program {form.command!r} is not installed here")
        base = settings.plain_environment
        if not form.sandbox:
            return Command((found, *form.args), {**base, **form.env})
        folder = settings.potluck_home / "mcp" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        program = Program(
            (found, *form.args),
            form.env,
            # The program itself, by each of its names, where the sandbox would not show it
            read=(Path(found), Path(found).resolve(), *_paths(form.read)),
            write=_paths(form.write),
        )
        argv, env = entrance(folder, program, network=form.network)
        return Command(argv, {**base, **env})

    return launch


def _paths(given: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(Path(path).expanduser().resolve() for path in given)
