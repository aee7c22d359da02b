"""The real Open WebUI, from PyPI, in an environment of its own that is kept between runs."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "0.12.4"
PYTHON = "3.11"
INSTALL_TIMEOUT_S = 1_800
# Several gigabytes for speech and embeddings on this machine, of which no chat makes use.
LEFT_OUT = ("torch", "sentence-transformers", "transformers", "accelerate", "faster-whisper")


def cache_folder() -> Path:
    """POTLUCK_TEST_OPENWEBUI, or a folder in the user's cache."""
    given = os.environ.get("POTLUCK_TEST_OPENWEBUI")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else cache / "potluck-tests" / f"open-webui-{VERSION}"


def install(folder: Path) -> Path:
    """The program `open-webui`, installed first if need be. Raises CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    done, program = folder / "installed", folder / "venv" / "bin" / "open-webui"
    with _lock(folder / "lock"):
        if not done.exists():
            _install_into(folder)
            done.touch()
    return program


def _install_into(folder: Path) -> None:
    uv = shutil.which("uv")
    assert uv is not None
    overrides = folder / "overrides.txt"
    overrides.write_text("".join(f"{name}; python_version < '3'\n" for name in LEFT_OUT))
    venv = folder / "venv"
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    commands: tuple[list[str | Path], ...] = (
        ["venv", "--clear", "--python", PYTHON, venv],
        ["pip", "install", "--python", venv, "--overrides", overrides, f"open-webui=={VERSION}"],
    )
    for command in commands:
        subprocess.run(
            [uv, *command],
            check=True,
            timeout=INSTALL_TIMEOUT_S,
            env=environment | {"UV_HTTP_TIMEOUT": "300"},
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
