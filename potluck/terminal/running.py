"""The server that the terminal talks to: one that runs already, or one for the length of a chat."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import httpx
import psutil
from pydantic import SecretStr
from rich.console import Console

from potluck.errors import StartError
from potluck.settings import Settings

SERVER_FILE = "server.json"
PROBE_TIMEOUT_S = 2.0
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
SHOWN_LOG_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: where, in which process (None: not known), and with which key."""

    url: str
    pid: int | None = None
    key: SecretStr | None = None


def find(settings: Settings) -> Running | None:
    """The server that uses this data folder, if there is one and it answers."""
    try:
        written = json.loads((settings.potluck_home / SERVER_FILE).read_text())
        found = Running(str(written["url"]), int(written["pid"]), own_key(settings))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = found.pid is not None and psutil.pid_exists(found.pid)
    return found if alive and answers(found.url) else None


def own_key(settings: Settings) -> SecretStr | None:
    """The secret of the first key in POTLUCK_API_KEYS (`name:secret[:role]`, or bare)."""
    if not settings.potluck_api_keys:
        return None
    parts = settings.potluck_api_keys[0].get_secret_value().split(":")
    return SecretStr(parts[1] if len(parts) > 1 else parts[0])


def answers(url: str) -> bool:
    """Whether a LangGraph API answers there."""
    try:
        return httpx.get(f"{url.rstrip('/')}/info", timeout=PROBE_TIMEOUT_S).status_code == 200
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


@contextmanager
def server(settings: Settings, url: str | None, console: Console) -> Iterator[Running]:
    """The server at `url`, else the running one, else one that stops with the block.

    Raises StartError when none answers and none can be started.
    """
    if url is not None:
        if not answers(url):
            raise StartError(
                f"No Potluck server answers at {url}.",
                fix="Start one with `potluck serve`, or leave --url out.",
            )
        yield Running(url.rstrip("/"), key=own_key(settings))
        return
    found = find(settings)
    if found is not None:
        yield found
        return
    with _child(settings, console) as started:
        yield started


@contextmanager
def _child(settings: Settings, console: Console) -> Iterator[Running]:
    command = [sys.executable, "-m", "potluck", "serve", "--port", "0"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        # A session of its own: Ctrl-C is for the chat, which then stops the server in order.
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            with console.status("Starting the server …"):
                started = _wait(process, settings, log)
            yield started
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], settings: Settings, log: IO[str]) -> Running:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"The server did not start. {_last_words(log)}")
        found = find(settings)
        # Another server may have been quicker to take the data folder: it does as well.
        if found is not None:
            return found
        time.sleep(POLL_S)
    raise StartError(
        f"The server was not ready after {START_TIMEOUT_S:g} s. {_last_words(log)}",
        fix="Run `potluck serve` to see why.",
    )


def _last_words(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-SHOWN_LOG_CHARS:].strip().removeprefix("potluck: ")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
