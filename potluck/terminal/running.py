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
from potluck.server.auth_names import user_of
from potluck.settings import ApiKey, Settings

OK = 200
UNAUTHORIZED = 401
FORBIDDEN = 403
TOO_MANY = 429
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
    key_name: str = ""
    is_own: bool = False

    @property
    def owner(self) -> str:
        """Whose threads are meant by a name; empty where all are one."""
        return user_of(ApiKey(self.key_name, self.key)) if self.key else ""


def find(settings: Settings) -> Running | None:
    """The server that uses this data folder, if there is one and it answers.

    Raises StartError when it answers, but does not let us in.
    """
    found, status = _look(settings)
    if found is not None and status not in (OK, None):
        raise _turned_away(found, status)
    return found if status == OK else None


def _look(settings: Settings) -> tuple[Running | None, int | None]:
    """The server that has left word in this data folder, and with which status it answers."""
    try:
        written = json.loads(server_file(settings.potluck_home).read_text())
        found = _with_own_key(str(written["url"]), int(written["pid"]), settings)
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
    alive = found.pid is not None and psutil.pid_exists(found.pid)
    return (found, probe(found)) if alive else (None, None)


def _turned_away(running: Running, status: int | None) -> StartError:
    if status in (UNAUTHORIZED, FORBIDDEN):
        why = "does not take the key" if running.key else "asks for a key"
        return StartError(
            f"The server at {running.url} {why}.",
            fix="Put one that it takes first into POTLUCK_API_KEYS.",
        )
    fix = "Too many requests: wait a minute." if status == TOO_MANY else "Look at its log."
    return StartError(f"The server at {running.url} answers HTTP {status}.", fix=fix)


def _with_own_key(url: str, pid: int | None, settings: Settings) -> Running:
    """With the first of POTLUCK_API_KEYS that may do more than read the metrics."""
    key = next((one for one in settings.api_keys if one.role != "metrics"), None)
    return Running(url, pid, key.secret, key.name) if key else Running(url, pid)


def probe(running: Running) -> int | None:
    """The HTTP status with which a LangGraph API answers there; None when nothing does."""
    headers = {"X-Api-Key": running.key.get_secret_value()} if running.key else {}
    try:
        # a proxy from the environment would be asked for this machine's own ports
        return httpx.get(
            f"{running.url}/info", headers=headers, timeout=PROBE_TIMEOUT_S, trust_env=False
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
    address = url if "://" in url else f"http://{url}"
    running = _with_own_key(address.rstrip("/"), None, settings)
    status = probe(running)
    if status in (UNAUTHORIZED, FORBIDDEN):
        raise _turned_away(running, status)
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
        found, status = _look(settings)
        # Another server may have been quicker to take the data folder: it does as well.
        if found is not None and status == OK:
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
