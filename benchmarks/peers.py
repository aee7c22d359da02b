"""Environments of their own for the programs that benchmarks compare us with."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

INSTALL_TIMEOUT_S = 300.0
_FOREIGN = ("_API_KEY", "_TOKEN", "_proxy", "_PROXY", "DATABASE_URL", "REDIS_URL", "POTLUCK_")


class PeerMissingError(Exception):
    """A peer cannot be had here; the message says why."""


def default_folder() -> Path:
    """Where the environments are kept between two runs."""
    return Path(platformdirs.user_cache_dir("potluck", appauthor=False)) / "benchmarks"


def python_with(name: str, requirements: Sequence[str], folder: Path) -> Path:
    """The interpreter of the peer's environment, made now unless it is there.

    Raises PeerMissingError when it cannot be installed, say without a network.
    """
    home = folder / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed = home / "installed.txt"
    wanted = "\n".join(requirements)
    if python.exists() and installed.exists() and installed.read_text() == wanted:
        return python
    folder.mkdir(parents=True, exist_ok=True)
    _uv("venv", "--clear", "--python", sys.executable, str(home))
    _uv("pip", "install", "--compile-bytecode", "--python", str(python), *requirements)
    installed.write_text(wanted)
    return python


def run(python: Path, module: str, given: str, *, cwd: Path, timeout_s: float) -> str:
    """The last line that the module prints, run in the peer's environment with one argument."""
    kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in _FOREIGN)}
    try:
        done = subprocess.run(
            [python, "-m", module, given],
            cwd=cwd, env=kept, capture_output=True, text=True, timeout=timeout_s, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PeerMissingError(f"{module} was not ready after {timeout_s:g} s") from error
    except subprocess.CalledProcessError as error:
        last = str(error.stderr).strip().rpartition("\n")[2]
        raise PeerMissingError(f"{module} failed: {last}") from error
    return done.stdout.strip().rpartition("\n")[2]


def _uv(*arguments: str) -> None:
    # An environment that is active here must not be taken for the peer's
    env = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    try:
        subprocess.run(
            ["uv", *arguments],
            env=env, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise PeerMissingError("uv is not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise PeerMissingError(f"uv was not ready after {INSTALL_TIMEOUT_S:g} s") from error
    except subprocess.CalledProcessError as error:
        last = str(error.stderr).strip().rpartition("\n")[2]
        raise PeerMissingError(f"uv {arguments[0]} failed: {last}") from error
