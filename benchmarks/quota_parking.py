"""How late a parked run goes on by itself when the server is killed and started in between."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from ruamel.yaml import YAML

from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer

PROJECT_DIR = Path(__file__).parents[1]
START_TIMEOUT_S = 90.0
END_TIMEOUT_S = 60.0
QUESTION = {"messages": [{"role": "user", "content": "What is the answer?"}]}


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds between the time at which quota was back and the model being asked again.

    `due_later_s`: it came back when the server had long been started again. `due_while_down_s`:
    it came back while no server ran; counted from the moment at which the server was ready.
    `calls` is how often the model was asked in each case: twice when nothing was doubled.
    """

    due_later_s: float
    due_while_down_s: float
    calls: tuple[int, int]


def measure_restart(*, wait_s: float = 12.0) -> Lateness:
    """Park a run, kill the server, start it again, and see when the run goes on."""
    later_s, later_calls = _lateness(quota_back_after_s=wait_s, down_s=0.0)
    down_s, down_calls = _lateness(quota_back_after_s=4.0, down_s=4.0)
    return Lateness(later_s, down_s, (later_calls, down_calls))


def _lateness(*, quota_back_after_s: float, down_s: float) -> tuple[float, int]:
    with SimulatorServer() as simulator, _folder() as folder:
        failure = Reply.failing("day_requests", retry_after_s=quota_back_after_s)
        simulator.script.on(failure, times=1)
        simulator.script.on(Reply(text="Forty-two."))
        env = _environment(folder, simulator)
        with _server(env, kill=True) as client:
            thread_id, resume_at = _park(client)
        time.sleep(down_s)
        with _server(env, kill=False) as client:
            ready = time.time()
            asked = _second_call(simulator)
            _wait(lambda: client.threads.get(thread_id)["status"] == "idle", END_TIMEOUT_S)
        return asked - max(resume_at, ready if down_s else 0.0), len(simulator.log)


def _park(client: SyncLangGraphClient) -> tuple[str, float]:
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=QUESTION)
    state: Any = client.threads.get_state(thread_id)  # Any: JSON of the LangGraph API
    (interrupt,) = state["interrupts"]
    return thread_id, datetime.fromisoformat(interrupt["value"]["resume_at"]).timestamp()


def _second_call(simulator: SimulatorServer) -> float:
    """When the model was asked again, as a timestamp."""
    if not simulator.log.wait_for(2, timeout_s=END_TIMEOUT_S):
        raise SystemExit("The parked run did not go on: run `potluck serve` by hand to see why.")
    return simulator.log[1].at.timestamp()


@contextlib.contextmanager
def _server(env: dict[str, str], *, kill: bool) -> Iterator[SyncLangGraphClient]:
    """A server that answers; it is killed, or stopped in order."""
    written = Path(env["POTLUCK_HOME"]) / "server.json"
    written.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "potluck", "serve", "--port", "0"],
        cwd=PROJECT_DIR, env=os.environ | env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(lambda: process.poll() is not None or _answers(written), START_TIMEOUT_S)
        with get_sync_client(url=_url(written)) as client:
            yield client
    finally:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait(30)


def _answers(written: Path) -> bool:
    try:
        return httpx.get(f"{_url(written)}/info", timeout=2).is_success
    except (OSError, ValueError, httpx.HTTPError):
        return False


def _url(written: Path) -> str:
    return str(json.loads(written.read_text())["url"])


def _wait(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"It did not happen within {timeout_s:g} s.")
        time.sleep(0.02)


def _environment(folder: Path, simulator: SimulatorServer) -> dict[str, str]:
    """One model of one provider, without limits of its own."""
    config = folder / "config"
    config.mkdir()
    groq = YAML().load(PROJECT_DIR / "config" / "providers.yaml")["providers"]["groq"]
    del groq["models"][1:]
    groq["models"][0].pop("limits", None)
    YAML().dump({"providers": {"groq": groq}}, config / "providers.yaml")
    return {
        "POTLUCK_HOME": str(folder / "home"),
        "POTLUCK_CONFIG_DIR": str(config),
        "POTLUCK_ENV_FILE": str(config / ".env"),
        "POTLUCK_SIMULATOR": simulator.url,
    }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="potluck-bench-"))
    # As root, PostgreSQL's own user must be able to enter it.
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


if __name__ == "__main__":
    print(measure_restart())
