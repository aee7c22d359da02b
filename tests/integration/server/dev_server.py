"""LangGraph's development server, `python -m langgraph_cli dev`, as the README starts it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PROJECT_DIR = Path(__file__).parents[3]
START_TIMEOUT_S = 90.0


@contextmanager
def dev_server(**env: str) -> Iterator[str]:
    """The address of one that runs inside the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("wb") as log:
        command = ["langgraph_cli", "dev", "--no-browser", "--no-reload", "--port", str(port)]
        place = {"POTLUCK_HOME": home, "POTLUCK_ENV_FILE": f"{home}/.env"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT_DIR,
            env={**os.environ, **place, **env},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process, Path(home) / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            if httpx.get(f"{url}/ok").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
