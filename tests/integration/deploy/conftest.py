"""The balancer of deploy/ before two real servers on one PostgreSQL and one Redis."""

import csv
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove, unlimited_config
from tests.unit.deploy.stack import DEPLOY, needed

KEY = "a-key-for-the-balancer"
READY_TIMEOUT_S = 20.0
TIMEOUT_S = 30.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until(is_so: Callable[[], bool], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@dataclass
class Balancer:
    """HAProxy with haproxy.cfg, its ports and names replaced."""

    port: int
    told_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        """Asks the doors with the key."""
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_S)

    def ready_servers(self) -> int:
        """How many servers it holds for ready."""
        told = httpx.get(f"http://127.0.0.1:{self.told_port}/;csv", timeout=TIMEOUT_S).text
        lines = csv.DictReader(told.removeprefix("# ").splitlines())
        states = [one["status"] for one in lines if one["pxname"] == "ready"]
        # The last line is the backend's own
        return sum(state.startswith("UP") for state in states[:-1])


# How it is asked what it knows; the rest of the file is as it is shipped
TOLD = """
frontend told
    bind 127.0.0.1:{port}
    stats enable
    stats uri /
"""


def configured(folder: Path, port: int, told_port: int, servers: dict[str, int]) -> Path:
    """The file as it is shipped, with other ports; servers that are not there are left out."""
    text = (DEPLOY / "haproxy.cfg").read_text("utf-8")
    text, binds = re.subn(r"bind :8123", f"bind 127.0.0.1:{port}", text)
    assert binds == 1

    def place(found: re.Match[str]) -> str:
        there = servers.get(found[1])
        return f"    server {found[1]} 127.0.0.1:{there}" if there else ""

    text, lines = re.subn(r"^    server (\S+) \S+:8123$", place, text, flags=re.MULTILINE)
    assert lines == 6
    file = folder / "haproxy.cfg"
    file.write_text(text + TOLD.format(port=told_port), "utf-8")
    return file


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    program = needed("redis-server", "`apt install redis-server`")
    folder, port = make_home(), free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    wait_until(lambda: _listens(port), "Redis does not listen")
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(TIMEOUT_S)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def own_database(postgres_url: str) -> Iterator[str]:
    """A database of this module's, for servers that no other test speaks to."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE balanced")
        head, mark, query = postgres_url.partition("?")
        yield f"{head.rpartition('/')[0]}/balanced{mark}{query}"
        connection.execute("DROP DATABASE balanced WITH (FORCE)")


def port_of(server: PotluckServer) -> int:
    return int(server.args[-1])


@pytest.fixture(scope="module")
def pair(
    own_database: str, redis_url: str, simulator: SimulatorServer
) -> Iterator[list[PotluckServer]]:
    """Two servers as compose.yaml has three: one database, one Redis, a data folder each."""
    config = unlimited_config(make_home() / "config")
    env = {
        "DATABASE_URL": own_database,
        "REDIS_URL": redis_url,
        "POTLUCK_API_KEYS": f"tests:{KEY}",
        "POTLUCK_CONFIG_DIR": str(config),
    }
    started = [
        PotluckServer(make_home(), simulator, env=env, args=["--port", str(free_port())])
        for _ in range(2)
    ]
    yield [server.start() for server in started]
    for server in started:
        remove(server)
    shutil.rmtree(config.parent)


@pytest.fixture
def balancer(pair: list[PotluckServer], tmp_path: Path) -> Iterator[Balancer]:
    haproxy = needed("haproxy", "`apt install haproxy`")
    port, told_port = free_port(), free_port()
    ports = {f"potluck-{n}": port_of(server) for n, server in enumerate(pair, start=1)}
    file = configured(tmp_path, port, told_port, ports)
    with (tmp_path / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([haproxy, "-db", "-f", str(file)], stdout=log, stderr=log)
    wait_until(lambda: _listens(port), (tmp_path / "haproxy.log").read_text())
    yield Balancer(port, told_port, process)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(TIMEOUT_S)


@pytest.fixture
def both(
    pair: list[PotluckServer], balancer: Balancer, simulator: SimulatorServer
) -> list[PotluckServer]:
    """Both servers, held for ready, and a simulator that has forgotten what was before."""
    simulator.script.clear()
    simulator.log.clear()
    for server in pair:
        assert server.process is not None
        if server.process.poll() is not None:
            server.start()
    wait_until(lambda: balancer.ready_servers() == len(pair), "a server is not held for ready")
    return pair


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(1)
        return asked.connect_ex(("127.0.0.1", port)) == 0
