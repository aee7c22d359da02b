"""Servers on one PostgreSQL and one Redis, behind a balancer, each in a process of its own."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from benchmarks.replicas_services import (
    START_TIMEOUT_S,
    STOP_TIMEOUT_S,
    environment,
    free_port,
    started_balancer,
    started_postgres,
    started_redis,
    until,
)

PROJECT_DIR = Path(__file__).parents[1]
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
                cwd=PROJECT_DIR, env=environment() | dict(self.env),
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


@contextlib.contextmanager
def cluster(
    upstream: str, count: int, *, limits: str = NO_LIMITS, env: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """So many servers, ready, all of whose models are the upstream."""
    with _folder() as folder, started_postgres(folder) as database, started_redis(folder) as redis:
        ports = [free_port() for _ in range(count)]
        config = _config(folder, upstream, limits)
        with started_balancer(folder, ports) as url:
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


def _is_ready(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/ready", timeout=2.0).status_code == 200
    return False


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
