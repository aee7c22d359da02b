"""The server that the terminal talks to: one that runs already, or one for the length of a chat."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import IO

import httpx
import psutil
from pydantic import SecretStr
from rich.console import Console

from potluck.errors import StartError
from potluck.server.address import server_file
from potluck.settings import Settings

OK = 200
UNAUTHORIZED = 401
PROBE_TIMEOUT_S = 2.0
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
SHOWN_LOG_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: where, in which process (None: not known), and with which key.

    One that `is_own` stops with the chat.
    """

    url: str
    pid: int | None = None
    key: SecretStr | None = None
    is_own: bool = False


def find(settings: Settings) -> Running | None:
    """The server that uses this data folder, if there is one and it answers."""
    try:
        written = json.loads(server_file(settings.potluck_home).read_text())
        found = Running(str(written["url"]), int(written["pid"]), own_key(settings))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = found.pid is not None and psutil.pid_exists(found.pid)
    return found if alive and probe(found) == OK else None


def own_key(settings: Settings) -> SecretStr | None:
    """The first secret of POTLUCK_API_KEYS."""
    return next(iter(settings.api_secrets), None)


def probe(running: Running) -> int | None:
    """The HTTP status with which a LangGraph API answers there; None when nothing does."""
    headers = {"X-Api-Key": running.key.get_secret_value()} if running.key else {}
    try:
        return httpx.get(
            f"{running.url}/info", headers=headers, timeout=PROBE_TIMEOUT_S
        ).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


@contextmanager
def server(settings: Settings, url: str | None, console: Console) -> Iterator[Running]:
    """The server at `url`, else the running one, else one that stops with the block.

    Raises StartError when none answers and none can be started.
    """
    if url is not None:
        yield _at(url, settings)
        return
    found = find(settings)
    if found is not None:
        yield found
        return
    with _child(settings, console) as started:
        yield started


def _at(url: str, settings: Settings) -> Running:
    running = Running(url.rstrip("/"), key=own_key(settings))
    status = probe(running)
    if status == UNAUTHORIZED:
        raise StartError(
            f"The server at {url} does not take the key.",
            fix="Put one that it takes first into POTLUCK_API_KEYS.",
        )
    if status != OK:
        raise StartError(
            f"No Potluck server answers at {url}.",
            fix="Start one with `potluck serve`, or leave --url out.",
        )
    return running


@contextmanager
def _child(settings: Settings, console: Console) -> Iterator[Running]:
    command = [sys.executable, "-m", "potluck", "serve", "--port", "0"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        # A session of its own: Ctrl-C is for the chat, which then stops the server in order.
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            with _ended_by_signals():
                with console.status("Starting the server …"):
                    started = _wait(process, settings, log)
                yield started
        finally:
            _stop(process)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A closed terminal and SIGTERM unwind the program, so that the child is not left behind."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), _leave) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _wait(process: subprocess.Popen[bytes], settings: Settings, log: IO[str]) -> Running:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"The server did not start. {_last_words(log)}")
        found = find(settings)
        # Another server may have been quicker to take the data folder: it does as well.
        if found is not None:
            return replace(found, is_own=found.pid == process.pid)
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
