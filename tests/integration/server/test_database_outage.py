"""While the database hangs or is away, each door says so at once, and calls to models go on."""

import contextlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# Half of it and more is the time in which the database may still answer
PROMPTLY_S = 4.0
BACK_S = 15.0
ANSWER_S = 3.0
WARM_UP = "Is anybody there"
PROJECT_DIR = Path(__file__).parents[3]
THREAD = "5f5f0a0e-0000-4000-8000-000000000001"
HUMAN = {"type": "human", "content": "Good day"}
RUN = {"assistant_id": "agent", "input": {"messages": [HUMAN]}}
# Another test may have had the same answered on the same database
ANEW = {**RUN, "context": {"cache": "off"}}


class Wire:
    """A way to PostgreSQL over TCP that can be cut and mended."""

    def __init__(self, url: str) -> None:
        self._parts = conninfo_to_dict(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.is_cut = False
        self._start(self._accept)

    @property
    def url(self) -> str:
        parts = self._parts
        login = f"{parts['user']}:{parts.get('password', '')}"
        port = self._listener.getsockname()[1]
        return f"postgresql://{login}@127.0.0.1:{port}/{parts['dbname']}"

    def cut(self) -> None:
        self.is_cut = True
        self._drop()

    def mend(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        self.is_cut = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop()
        for thread in self._threads:
            thread.join(5)

    def _drop(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                if self.is_cut:
                    here.close()
                    continue
                there = socket.socket(socket.AF_UNIX)
                port = self._parts.get("port", 5432)
                there.connect(f"{self._parts['host']}/.s.PGSQL.{port}")
                self._open += [here, there]
                self._start(_join, here, there)

    def _start(self, work: Callable[..., None], *ends: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=ends, daemon=True))
        self._threads[-1].start()


def _join(here: socket.socket, there: socket.socket) -> None:
    """Pass on what comes from either end until one of them ends."""
    other = {here: there, there: here}
    with here, there, contextlib.suppress(OSError):
        while True:
            for end in select.select([here, there], [], [])[0]:
                chunk = end.recv(65_536)
                if not chunk:
                    return
                other[end].sendall(chunk)


@pytest.fixture
def own_simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer() as running:
        yield running


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    made = Wire(postgres_url)
    yield made
    made.close()


@contextlib.contextmanager
def hanging_database(home: Path) -> Iterator[None]:
    """Every process of the embedded PostgreSQL is stopped inside the block."""
    postmaster = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    main = psutil.Process(postmaster)
    stopped = [main, *main.children(recursive=True)]
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            process.send_signal(signal.SIGCONT)


def ask(server: Any, method: str, path: str, **how: Any) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = httpx.request(method, server.url + path, timeout=30, **how)
    return time.monotonic() - began, answer


def chat(model: str, text: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


DOORS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/quota", {}),
    ("GET", "/quota/parked", {}),
    ("POST", f"/quota/parked/{THREAD}/resume", {}),
    ("POST", "/threads", {"json": {}}),
    ("GET", f"/threads/{THREAD}/state", {}),
    ("POST", "/runs/wait", {"json": RUN}),
    ("POST", "/runs/stream", {"json": RUN}),
    ("POST", "/assistants/search", {"json": {}}),
    ("POST", "/v1/chat/completions", {"json": chat("potluck", "Hello")}),
    ("POST", "/v1/chat/completions", {"json": chat("potluck", "Hello", stream=True)}),
    (
        "POST",
        "/v1/chat/completions",
        {"json": chat("potluck", "Hello"), "headers": {"X-OpenWebUI-Chat-Id": "a chat"}},
    ),
    ("POST", "/agent/invoke", {"json": {"input": {"messages": [HUMAN]}}}),
    ("GET", "/ready", {}),
)


def refused_promptly(server: Any) -> None:
    """Each door, with the sentence in its own shape."""
    for method, path, how in DOORS:
        took_s, answer = ask(server, method, path, **how)
        assert (answer.status_code, path) == (503, path), answer.text
        assert took_s < PROMPTLY_S, path
        assert answer.headers["Retry-After"] == "5"
        told = answer.json()
        message = told["error"]["message"] if path.startswith("/v1") else told["detail"]
        if path.startswith("/agent"):
            message = message["message"]
        assert message.startswith("The database does not answer"), message
    # A stream has begun when it is known
    stream = {"json": {"input": {"messages": [HUMAN]}}}
    took_s, answer = ask(server, "POST", "/agent/stream", **stream)
    assert took_s < PROMPTLY_S
    assert "503" in answer.text


def models_answer(server: Any, text: str) -> None:
    for number, model in enumerate(["auto", "groq/openai/gpt-oss-20b", "auto"]):
        body = chat(model, f"{text} {number}", stream=number == 2)
        took_s, answer = ask(server, "POST", "/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        # The first call of each imports its vendor's package
        assert took_s < PROMPTLY_S or text == WARM_UP, model


def until_well(server: Any) -> None:
    """Return when the agent answers again, which is soon."""
    began = time.monotonic()
    while ask(server, "POST", "/runs/wait", json=RUN)[1].status_code != 200:
        assert time.monotonic() - began < BACK_S
        time.sleep(0.2)


def test_while_the_database_hangs_each_door_says_so_promptly(
    start_server: Callable[..., Any], own_simulator: SimulatorServer
) -> None:
    server = start_server(simulator=own_simulator)
    models_answer(server, WARM_UP)
    with hanging_database(server.home):
        refused_promptly(server)
        models_answer(server, "Meanwhile")
        usage = subprocess.run(
            [sys.executable, "-m", "potluck", "usage"],
            cwd=PROJECT_DIR,
            env=server.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert usage.returncode == 1
        assert "The database does not answer" in usage.stderr
    until_well(server)
    assert ask(server, "GET", "/quota")[1].status_code == 200


def test_while_the_database_is_away_each_door_says_so_promptly(
    wire: Wire, start_server: Callable[..., Any], own_simulator: SimulatorServer
) -> None:
    server = start_server(simulator=own_simulator, env={"DATABASE_URL": wire.url})
    models_answer(server, WARM_UP)
    wire.cut()
    refused_promptly(server)
    models_answer(server, "Meanwhile")
    wire.mend()
    until_well(server)


SLOW = Reply("Here I am.", delay=Delay(first_byte_s=ANSWER_S))


@pytest.mark.parametrize("outage_s", [5.0])
def test_a_run_under_way_outlasts_an_outage(
    wire: Wire, start_server: Callable[..., Any], own_simulator: SimulatorServer, outage_s: float
) -> None:
    own_simulator.script.on(SLOW)
    server = start_server(simulator=own_simulator, env={"DATABASE_URL": wire.url})
    thread = ask(server, "POST", "/threads", json={})[1].json()["thread_id"]
    with ThreadPoolExecutor(1) as beside:
        run = beside.submit(ask, server, "POST", f"/threads/{thread}/runs/wait", json=ANEW)
        time.sleep(ANSWER_S / 2)
        wire.cut()
        time.sleep(outage_s)
        wire.mend()
        _, answer = run.result(30)
    assert answer.status_code == 200
    assert answer.json()["messages"][-1]["content"] == "Here I am."
    until_well(server)
    _, found = ask(server, "GET", f"/threads/{thread}")
    assert found.json().get("status") == "idle", found.text


def test_a_run_under_way_outlasts_a_database_that_hangs(
    start_server: Callable[..., Any], own_simulator: SimulatorServer
) -> None:
    own_simulator.script.on(SLOW)
    server = start_server(simulator=own_simulator)
    thread = ask(server, "POST", "/threads", json={})[1].json()["thread_id"]
    with ThreadPoolExecutor(1) as beside:
        run = beside.submit(ask, server, "POST", f"/threads/{thread}/runs/wait", json=ANEW)
        time.sleep(ANSWER_S / 2)
        with hanging_database(server.home):
            time.sleep(2 * ANSWER_S)
        _, answer = run.result(30)
    assert answer.json()["messages"][-1]["content"] == "Here I am."
