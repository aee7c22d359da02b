"""The programs of the bridge benchmark, each in a process of its own, and what memory they take."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import httpx
import psutil

from benchmarks.bridge_load import KEY, Load, Seen

PROJECT_DIR = Path(__file__).parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 20.0
MODEL = "box/box"
PEERS_MODEL = "agent"
_FOREIGN = ("_API_KEY", "_TOKEN", "_proxy", "_PROXY", "DATABASE_URL", "REDIS_URL", "POTLUCK_")
# What LiteLLM's own pages on production advise, but for what needs a database or Redis
_LITELLM = """model_list:
  - model_name: {model}
    litellm_params: {{model: openai/box, api_base: {url}/box/v1, api_key: none}}
litellm_settings: {{set_verbose: false, json_logs: true, request_timeout: 600, num_retries: 0}}
"""
_LITELLM_ENV = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MASTER_KEY": KEY,
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
# Limits that are never met, so that every call passes the ledger as it does at a real provider
_CATALOG = """providers:
  box:
    base_url: {url}/box/v1
    models:
      - {{id: box, capabilities: [tools, json, vision]}}
    limits: {{requests_per_minute: 100000000, requests_per_day: 100000000,
             tokens_per_minute: 100000000000}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it is, and its first process."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def chat_url(self) -> str:
        """Where chat completions are asked for."""
        return f"{self.url}/v1/chat/completions"

    @property
    def memory_mb(self) -> float:
        """What the server takes, with the processes that it has started."""
        root = psutil.Process(self.process.pid)
        return sum(_pss(one) for one in (root, *root.children(recursive=True))) / 2**20

    @property
    def cpu_s(self) -> float:
        """The processor time that its first process has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


class Clients:
    """The process that plays loads."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def play(self, load: Load) -> Seen:
        """Play a load to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asdict(load)), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The clients' process has died: see its error above.")
        return Seen(**json.loads(line))


class Peak:
    """The most memory that a server takes while the block runs."""

    def __init__(self, server: Server) -> None:
        self.memory_mb = server.memory_mb
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self.memory_mb = max(self.memory_mb, self._server.memory_mb)


@contextlib.contextmanager
def simulator() -> Iterator[str]:
    """The upstream's address."""
    command = [sys.executable, "-m", "benchmarks.bridge_simulator"]
    with _piped(command) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


@contextlib.contextmanager
def clients() -> Iterator[Clients]:
    """The process that plays loads."""
    with _piped([sys.executable, "-m", "benchmarks.bridge_load"]) as process:
        yield Clients(process)


@contextlib.contextmanager
def potluck(folder: Path, upstream: str) -> Iterator[Server]:
    """`potluck serve` with one model, the upstream, and all its defaults."""
    config = folder / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(_CATALOG.format(url=upstream))
    env = {
        "POTLUCK_HOME": str(folder / "home"),
        "POTLUCK_CONFIG_DIR": str(config),
        "POTLUCK_ENV_FILE": str(config / ".env"),
        "POTLUCK_API_KEYS": f"benchmark:{KEY}",
    }
    command = [sys.executable, "-m", "potluck", "serve"]
    with _server(command, "/health", env=env) as server:
        yield server


@contextlib.contextmanager
def litellm(python: Path, folder: Path, upstream: str) -> Iterator[Server]:
    """LiteLLM's proxy with the same model, in one process."""
    config = folder / "litellm.yaml"
    config.write_text(_LITELLM.format(url=upstream, model=MODEL))
    command = [
        str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1",
        "--num_workers", "1",
    ]  # fmt: skip
    with _server(command, "/health/liveliness", env=_LITELLM_ENV) as server:
        yield server


@contextlib.contextmanager
def openai_serve(python: Path, upstream: str) -> Iterator[Server]:
    """`langgraph-openai-serve` with a graph that asks the same model."""
    command = [str(python), "-m", "benchmarks.bridge_openai_serve", "--upstream", upstream,
               "--name", PEERS_MODEL]  # fmt: skip
    with _server(command, "/v1/models", env={}) as server:
        yield server


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter."""
    made = Path(tempfile.mkdtemp(prefix="potluck-bench-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def postgres_mb(home: Path) -> float:
    """The memory of the embedded PostgreSQL; pages that its processes share are counted once."""
    root = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
    return sum(_pss(one) for one in (root, *root.children(recursive=True))) / 2**20


def _pss(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0.0


@contextlib.contextmanager
def _piped(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=PROJECT_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


@contextlib.contextmanager
def _server(command: Sequence[str], ready: str, *, env: Mapping[str, str]) -> Iterator[Server]:
    """The server, once it answers at `ready`."""
    port = _free_port()
    kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in _FOREIGN)}
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=PROJECT_DIR, env=kept | env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        server = Server(f"http://127.0.0.1:{port}", process)
        _wait_for(server, ready)
        yield server
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def _wait_for(server: Server, path: str) -> None:
    begun_s = time.monotonic()
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}{path}", timeout=CALL_TIMEOUT_S).status_code == 200:
                return
        if server.process.poll() is not None or time.monotonic() - begun_s > START_TIMEOUT_S:
            command = " ".join(map(str, server.process.args))  # type: ignore[arg-type] # a list
            raise SystemExit(f"It did not start: run it by hand to see why: {command}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
