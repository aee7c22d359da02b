"""No walls at all: code runs as the server's user. Only where a person asked for it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from potluck.sandbox.interpreter import Interpreter
from potluck.sandbox.kernel_command import kernel_command
from potluck.sandbox.launch import Launch


@dataclass(frozen=True, slots=True)
class Host:
    """Runs code on the machine itself, without the server's environment, and so without keys."""

    interpreter: Interpreter

    def kernel(self, workspace: Path, runtime: Path) -> Launch:
        """A Python kernel with the workspace as its folder."""
        command = kernel_command(str(self.interpreter.executable), str(runtime / "connection.json"))
        return Launch(command, env=self._environment(workspace), cwd=workspace)

    def shell(self, workspace: Path, command: str) -> Launch:
        """A shell with the workspace as its folder."""
        shell = shutil.which("bash") or "/bin/sh"
        return Launch((shell, "-c", command), env=self._environment(workspace), cwd=workspace)

    def runtime_seen(self, runtime: Path) -> str:
        """Where the kernel sees the folder of its sockets."""
        return str(runtime)

    def prepare(self, workspace: Path, *, runtime: Path | None = None) -> None:  # noqa: ARG002 - they are the server's own
        """Make the workspace."""
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _environment(self, workspace: Path) -> dict[str, str]:
        return {
            "PATH": f"{self.interpreter.executable.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(workspace),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
