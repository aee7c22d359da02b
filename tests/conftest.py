"""Real servers for integration and e2e tests: `potluck serve` as a user starts it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from psycopg import AsyncConnection
from ruamel.yaml import YAML

from potluck.database import database_url
from potluck.pool import Pool, migrate, pool_to
from potluck.settings import Settings
from potluck.simulator.script import Script
from potluck.simulator.server import SimulatorServer

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
PROJECT_DIR = Path(__file__).parents[1]
# What a server must not learn from the machine that runs the tests.
FOREIGN = ("_API_KEY", "_TOKEN", "DATABASE_URL", "REDIS_URL", "POTLUCK_")


@dataclass
class PotluckServer:
    """`potluck serve` in a process of its own; its data folder outlives a kill."""

    home: Path
    simulator: SimulatorServer | None = None
    env: dict[str, str] = field(default_factory=dict)
    args: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return str(json.loads((self.home / "server.json").read_text())["url"])

    @property
    def script(self) -> Script:
        """What its simulator is to say."""
        assert self.simulator is not None
        return self.simulator.script

    @property
    def output(self) -> str:
        return (self.home / "output.log").read_text()

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in FOREIGN)}
        return kept | {
            "POTLUCK_HOME": str(self.home),
            "POTLUCK_ENV_FILE": str(self.home / ".env"),
            **({"POTLUCK_SIMULATOR": self.simulator.url} if self.simulator else {}),
            **self.env,
        }

    def start(self) -> "PotluckServer":
        with (self.home / "output.log").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "potluck", "serve", "--port", "0", *self.args],
                cwd=PROJECT_DIR,
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_ready()
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while "serves on" not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"not ready in time:\n{self.output}"
            time.sleep(0.05)


def make_home() -> Path:
    """A data folder that PostgreSQL's own user may enter, which pytest's tmp_path is not."""
    home = Path(tempfile.mkdtemp(prefix="potluck-test-"))
    home.chmod(0o755)
    return home


@contextmanager
def _starting() -> Iterator[Callable[..., PotluckServer]]:
    started: list[PotluckServer] = []

    def start(**options: object) -> PotluckServer:
        server = PotluckServer(make_home(), **options)  # type: ignore[arg-type] # passed through
        started.append(server)
        return server.start()

    yield start
    for server in started:
        remove(server)


@pytest.fixture
def start_server() -> Iterator[Callable[..., PotluckServer]]:
    """Start servers that this test may stop, kill and start again."""
    with _starting() as start:
        yield start


@pytest.fixture(scope="module")
def make_server() -> Iterator[Callable[..., PotluckServer]]:
    """As `start_server`, for servers that all tests of a module share."""
    with _starting() as start:
        yield start


def remove(server: PotluckServer) -> None:
    server.stop()
    shutil.rmtree(server.home)


@contextmanager
def serving(config: str | Path) -> Iterator[PotluckServer]:
    """A server with that configuration, whose providers are a simulator of its own."""
    with SimulatorServer() as simulator:
        server = PotluckServer(make_home(), simulator, env={"POTLUCK_CONFIG_DIR": str(config)})
        yield server.start()
        remove(server)


def afresh(server: PotluckServer) -> PotluckServer:
    """The same server, with an empty script and log."""
    assert server.simulator is not None
    server.simulator.script.clear()
    server.simulator.log.clear()
    return server


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer() as running:
        yield running


@pytest.fixture(scope="session")
def shared_server(simulator: SimulatorServer) -> Iterator[PotluckServer]:
    home = make_home()
    config = unlimited_config(home / "config")
    server = PotluckServer(home, simulator, env={"POTLUCK_CONFIG_DIR": str(config)})
    yield server.start()
    remove(server)


def unlimited_config(folder: Path) -> Path:
    """The shipped catalog without its limits, and no cache: tests ask the same, and often."""
    folder.mkdir()
    yaml = YAML()
    catalog = yaml.load(PROJECT_DIR / "config" / "providers.yaml")
    for provider in catalog["providers"].values():
        provider.pop("limits", None)
        for model in provider.get("models", []):
            if isinstance(model, dict):
                model.pop("limits", None)
    yaml.dump(catalog, folder / "providers.yaml")
    # One test's answers are not another's, and nobody waits a minute for quota.
    (folder / "limits.yaml").write_text(
        "optimization: {enable_caching: false}\nparking: {wait_limit_seconds: 2}\n"
    )
    return folder


@pytest.fixture(scope="session")
def shared_troubled_server(simulator: SimulatorServer) -> Iterator[PotluckServer]:
    home = make_home()
    config = unlimited_config(home / "config")
    server = PotluckServer(home, simulator, env={"POTLUCK_CONFIG_DIR": str(config)})
    yield server.start()
    remove(server)


@pytest.fixture
def troubled_server(shared_troubled_server: PotluckServer) -> PotluckServer:
    """As `server`, for tests whose faults would be held against models in later tests."""
    return afresh(shared_troubled_server)


@pytest.fixture
def server(shared_server: PotluckServer) -> PotluckServer:
    """A running server whose providers are all the simulator, with an empty script and log."""
    return afresh(shared_server)


@pytest.fixture(scope="session")
def offline_server() -> Iterator[PotluckServer]:
    """A running server as it is tonight, on a machine without any key."""
    server = PotluckServer(make_home())
    yield server.start()
    remove(server)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of this test process's own."""
    home = make_home()
    with database_url(Settings(potluck_home=home, database_url=None)) as url:
        yield url
    shutil.rmtree(home)


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    """Connections to a database whose tables are new and empty."""
    async with await AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("DROP SCHEMA IF EXISTS potluck CASCADE")
    await migrate(postgres_url)
    async with pool_to(postgres_url) as opened:
        yield opened
