"""The Python environment that a sandbox shows to model-written code."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from potluck.errors import SandboxError

ASK_TIMEOUT_S = 10.0
_QUESTION = (
    "import json, sys; import ipykernel; "
    "print(json.dumps([sys.executable, sys.prefix, sys.base_prefix]))"
)
_TOO_WIDE = (Path("/"), Path("/home"), Path("/root"), Path("/etc"), Path("/var"), Path("/opt"))


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python with ipykernel, and the folders it needs to be seen."""

    executable: Path
    folders: tuple[Path, ...]

    @classmethod
    def own(cls) -> "Interpreter":
        """The environment that this process runs in."""
        return cls.of(sys.executable, sys.prefix, sys.base_prefix)

    @classmethod
    def of(cls, executable: str, prefix: str, base_prefix: str) -> "Interpreter":
        """From what Python says of itself. Raises SandboxError when it would show too much."""
        program = Path(executable)
        wanted = [Path(prefix), Path(base_prefix), Path(base_prefix).resolve()]
        wanted.append(program.resolve().parents[1])
        folders: list[Path] = []
        for folder in wanted:
            if folder in _TOO_WIDE or folder == Path.home():
                raise SandboxError(
                    f"The Python at {executable} is installed in {folder} itself, all of which "
                    "the sandbox would have to show.",
                    fix="Use a Python in a folder of its own: set POTLUCK_SANDBOX_PYTHON.",
                )
            if folder not in folders and not folder.is_relative_to("/usr"):
                folders.append(folder)
        return cls(program, tuple(folders))

    @classmethod
    async def at(cls, executable: Path) -> "Interpreter":
        """The environment of this Python. Raises SandboxError unless it has ipykernel."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                asked = await asyncio.create_subprocess_exec(
                    executable, "-I", "-c", _QUESTION,
                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                )  # fmt: skip
                answer, complaint = await asked.communicate()
        except (OSError, TimeoutError) as error:
            raise SandboxError(
                f"The Python of POTLUCK_SANDBOX_PYTHON, {executable}, does not run: {error}.",
                fix="Give the path of a Python, such as /opt/analysis/bin/python.",
            ) from error
        if asked.returncode:
            raise SandboxError(
                f"The Python of POTLUCK_SANDBOX_PYTHON, {executable}, has no ipykernel: "
                f"{complaint.decode(errors='replace').strip().rpartition(chr(10))[2]}.",
                fix=f"Run `{executable} -m pip install ipykernel`.",
            )
        return cls.of(*json.loads(answer))
