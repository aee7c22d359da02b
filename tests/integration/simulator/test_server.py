"""The simulator as a server: starting, stopping, and breaking connections as networks do."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from potluck.errors import StartError
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.scenario import load_scenario
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
PATH = "/together/v1/chat/completions"


@pytest.fixture
def client(simulator: SimulatorServer) -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer made-up"}
    with httpx.Client(base_url=simulator.url, headers=headers, timeout=5) as made:
        yield made


def read_stream(client: httpx.Client, into: list[str], *, timeout_s: float = 5) -> None:
    body = {**BODY, "stream": True}
    with client.stream("POST", PATH, json=body, timeout=timeout_s) as response:
        for line in response.iter_lines():
            if line:
                into.append(line)  # noqa: PERF401 # what came before the cut must be kept


def test_stops_at_once_even_while_an_answer_hangs() -> None:
    server = SimulatorServer()
    server.script.on(Reply.failing("hang"))
    raw = json.dumps(BODY).encode()
    head = f"POST /my_box/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}"
    with server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as hanging:
            hanging.sendall(head.encode() + b"\r\n\r\n" + raw)
            assert server.log.wait_for(1)
            begun = time.monotonic()
            server.stop()
            assert time.monotonic() - begun < 1
            assert hanging.recv(1) == b""
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/_sim/health")


async def test_is_an_async_context_manager_too() -> None:
    async with SimulatorServer() as server, httpx.AsyncClient() as client:
        assert (await client.get(f"{server.url}/_sim/health")).status_code == 200


def test_a_taken_port_is_one_line_with_the_fix(simulator: SimulatorServer) -> None:
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(StartError, match="another --port"):
        SimulatorServer(port=port).start()


def test_runs_a_scenario() -> None:
    with SimulatorServer(scenario=load_scenario("groq-day-used-up")) as server:
        url = server.provider_url("groq", "/openai/v1/chat/completions")
        response = httpx.post(url, json=BODY, headers={"authorization": "Bearer k"})
    assert response.status_code == 429
    assert "requests per day" in response.text


def test_drops_before_the_first_byte(simulator: SimulatorServer, client: httpx.Client) -> None:
    simulator.script.on(Reply.failing("drop"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        client.post(PATH, json=BODY)
    assert simulator.log.last.outcome == "cut"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_drops_after_exactly_so_many_chunks(
    simulator: SimulatorServer, client: httpx.Client, count: int
) -> None:
    simulator.script.on(Reply("One two three four", cut_after=count))
    lines: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        read_stream(client, lines)
    assert simulator.log.last.chunks == count
    assert len(lines) == count


def test_hangs_until_the_client_gives_up(simulator: SimulatorServer, client: httpx.Client) -> None:
    simulator.script.on(Reply.failing("hang"))
    with pytest.raises(httpx.ReadTimeout):
        client.post(PATH, json=BODY, timeout=0.1)
    assert _settles(simulator, "client_gone")


def test_stalls_in_mid_stream(simulator: SimulatorServer, client: httpx.Client) -> None:
    simulator.script.on(Reply("One two three", cut_after=2, cut="stall"))
    lines: list[str] = []
    with pytest.raises(httpx.ReadTimeout):
        read_stream(client, lines, timeout_s=0.1)
    assert len(lines) == 2
    assert _settles(simulator, "client_gone")


def test_takes_its_time(simulator: SimulatorServer, client: httpx.Client) -> None:
    simulator.script.on(Reply("One two", delay=Delay(first_byte_s=0.1, per_chunk_s=0.02)))
    begun = time.monotonic()
    lines: list[str] = []
    read_stream(client, lines)
    assert time.monotonic() - begun >= 0.1 + 4 * 0.02
    assert lines[-1] == "data: [DONE]"


def test_delays_are_in_the_simulators_time() -> None:
    with SimulatorServer(speed=100) as server:
        server.script.on(Reply("Hi", delay=Delay(first_byte_s=20)))
        begun = time.monotonic()
        httpx.post(server.provider_url("my_box", "/v1/chat/completions"), json=BODY)
        assert 0.2 <= time.monotonic() - begun < 2


async def test_slow_answers_do_not_hold_up_others(simulator: SimulatorServer) -> None:
    simulator.script.on(Reply("Hi", delay=Delay(first_byte_s=0.3)), text="slow")
    slow = {**BODY, "messages": [{"role": "user", "content": "slow"}]}
    headers = {"authorization": "Bearer made-up"}
    begun = time.monotonic()
    async with httpx.AsyncClient(base_url=simulator.url, headers=headers) as client:
        waiting = [asyncio.create_task(client.post(PATH, json=slow)) for _ in range(8)]
        quick = await client.post(PATH, json=BODY)
        assert time.monotonic() - begun < 0.3
        assert quick.status_code == 200
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert time.monotonic() - begun < 1


def _settles(simulator: SimulatorServer, outcome: str) -> bool:
    deadline = time.monotonic() + 2
    while simulator.log.last.outcome != outcome and time.monotonic() < deadline:
        time.sleep(0.01)
    return simulator.log.last.outcome == outcome
