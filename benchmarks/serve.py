"""How fast `potluck serve` is there, how much memory it takes, and what the agent adds to a turn.

The model is the simulator with no delay, so that what is measured is ours. The peer is LangGraph's
own development server with the same graph and the same door.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from benchmarks.report import Figure, report
from potluck.simulator.server import SimulatorServer

PROJECT_DIR = Path(__file__).parents[1]
START_TIMEOUT_S = 90.0
CALL_TIMEOUT_S = 60.0
BODY = {"messages": [{"role": "user", "content": "Tell me about the harbour of Genoa."}]}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer turns, no test suite")
    quick = parser.parse_args().quick
    turns = 60 if quick else 300
    with SimulatorServer() as simulator, _folder() as folder:
        config = _config(folder, simulator)
        figures, own = _potluck(folder, config, turns, simulator)
        peer = _langgraph_dev(config, turns // 6)
    peers = {"langgraph dev": peer, "ratio_p50": round(peer["turn_p50_ms"] / own, 1)}
    if not quick:
        figures += [
            Figure("uv run pytest", _seconds("pytest", "-q"), "s", "<= 120"),
            Figure(
                "uv run pytest tests/unit", _seconds("pytest", "-q", "tests/unit"), "s", "<= 10"
            ),
        ]
    report("serve", figures, peers)


def _potluck(
    folder: Path, config: Path, turns: int, simulator: SimulatorServer
) -> tuple[list[Figure], float]:
    env = {"POTLUCK_HOME": str(folder / "home"), **_environment(config)}
    with _server("potluck", "serve", env=env) as first:
        first_start_s = first.started_s
    with _server("potluck", "serve", env=env) as server:
        model = f"{simulator.url}/box/v1/chat/completions"
        direct = asyncio.run(_turns(model, "box", turns, clients=1))
        one = asyncio.run(_turns(server.chat_url, "potluck", turns, clients=1))
        direct_16 = asyncio.run(_turns(model, "box", turns, clients=16))
        sixteen = asyncio.run(_turns(server.chat_url, "potluck", turns, clients=16))
        memory_mb = _memory_mb(server.process.pid, folder / "home")
        figures = [
            Figure("start to first answer, empty data folder", first_start_s, "s", "< 8"),
            Figure("start to first answer", server.started_s, "s", "< 8"),
            Figure("resident memory with PostgreSQL", memory_mb, "MB", "< 500"),
            Figure("added to a turn, 1 client, p50", _p(one, 50) - _p(direct, 50), "ms", "< 60"),
            Figure("added to a turn, 1 client, p95", _p(one, 95) - _p(direct, 95), "ms"),
            Figure("added to a turn, 16 clients, p50", _p(sixteen, 50) - _p(direct_16, 50), "ms"),
            Figure("added to a turn, 16 clients, p95", _p(sixteen, 95) - _p(direct_16, 95), "ms"),
            Figure("the model's own time, p50", _p(direct, 50), "ms"),
        ]
    return figures, _p(one, 50)


def _langgraph_dev(config: Path, turns: int) -> dict[str, float]:
    command = ("langgraph_cli", "dev", "--no-browser", "--no-reload")
    with _server(*command, env=_environment(config)) as server:
        times = asyncio.run(_turns(server.chat_url, "potluck", turns, clients=1))
    return {"start_s": round(server.started_s, 2), "turn_p50_ms": round(_p(times, 50), 1)}


class _Started:
    def __init__(self, process: subprocess.Popen[bytes], port: int, started_s: float) -> None:
        self.process = process
        self.chat_url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self.started_s = started_s


@contextlib.contextmanager
def _server(*command: str, env: dict[str, str]) -> Iterator[_Started]:
    """The server, once it has answered a first question."""
    port = _free_port()
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        cwd=PROJECT_DIR, env=os.environ | env,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        started = _Started(process, port, 0.0)
        _first_answer(started, begun)
        started.started_s = time.perf_counter() - begun
        yield started
    finally:
        process.terminate()
        process.wait(30)


def _first_answer(server: _Started, begun: float) -> None:
    while True:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(
                server.chat_url, json={"model": "potluck", **BODY}, timeout=CALL_TIMEOUT_S
            )
            if answer.status_code == 200:
                return
        if server.process.poll() is not None or time.perf_counter() - begun > START_TIMEOUT_S:
            raise SystemExit("The server did not answer: run it by hand to see why.")
        time.sleep(0.02)


async def _turns(url: str, model: str, count: int, *, clients: int) -> list[float]:
    """Milliseconds of each of `count` turns, shared by so many clients at once."""
    times: list[float] = []
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(timeout=CALL_TIMEOUT_S, limits=limits) as http:

        async def client(share: int) -> None:
            for _ in range(share):
                begun = time.perf_counter()
                answer = await http.post(url, json={"model": model, **BODY})
                answer.raise_for_status()
                times.append((time.perf_counter() - begun) * 1000)

        await client(5)
        times.clear()
        await asyncio.gather(*(client(max(1, count // clients)) for _ in range(clients)))
    return times


def _p(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def _memory_mb(pid: int, home: Path) -> float:
    """The server's and PostgreSQL's memory; pages they share are counted once (PSS)."""
    database = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    processes = [
        process
        for root in (psutil.Process(pid), psutil.Process(database))
        for process in (root, *root.children(recursive=True))
    ]
    return sum(process.memory_full_info().pss for process in processes) / 2**20


def _config(folder: Path, simulator: SimulatorServer) -> Path:
    """A catalog of one endpoint without limits: the simulator."""
    config = folder / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(
        f"providers:\n  box:\n    base_url: {simulator.url}/box/v1\n    model: box\n"
    )
    return config


def _environment(config: Path) -> dict[str, str]:
    return {
        "POTLUCK_CONFIG_DIR": str(config),
        "POTLUCK_ENV_FILE": str(config / ".env"),
        "POTLUCK_SIMULATOR": "",
    }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="potluck-bench-"))
    # As root, PostgreSQL's own user must be able to enter it.
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _seconds(*command: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=PROJECT_DIR, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
