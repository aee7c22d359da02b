"""A run's stream is read whole at any server, whichever is at work on it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.replicas_stage import Cluster
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.replicas.conftest import Connect, events_of, question

pytestmark = [pytest.mark.replicas, pytest.mark.integration, pytest.mark.timeout(180)]

WORDS = " ".join(f"word{number}" for number in range(60))


def start_run(servers: Cluster, connect: Connect) -> tuple[str, str]:
    client = connect(servers.replicas[0].url)
    thread_id = client.threads.create()["thread_id"]
    modes: Any = ["messages-tuple", "custom", "values"]
    run = client.runs.create(thread_id, "agent", input=question("Speak"), stream_mode=modes)
    return thread_id, run["run_id"]


def test_readers_at_all_servers_see_the_same(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text=WORDS, delay=Delay(first_byte_s=0.5, per_chunk_s=0.02)))
    thread_id, run_id = start_run(servers, connect)
    first = f"{run_id}_event_0"
    with ThreadPoolExecutor() as pool:
        readers = [
            pool.submit(events_of, one.url, thread_id, run_id, first) for one in servers.replicas
        ]
        one, *others = [reader.result() for reader in readers]
    assert one[-1][1] == "end"
    assert sum(name == "messages" for _, name in one) >= 60
    assert all(other == one for other in others)
    assert len({number for number, _ in one}) == len(one)


def test_who_comes_back_at_another_server_goes_on_where_it_was(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text=WORDS, delay=Delay(per_chunk_s=0.02)))
    thread_id, run_id = start_run(servers, connect)
    whole = events_of(servers.replicas[1].url, thread_id, run_id, f"{run_id}_event_0")
    middle = len(whole) // 2
    rest = events_of(servers.replicas[2].url, thread_id, run_id, whole[middle][0])
    assert rest == whole[middle + 1 :]


def test_joining_at_any_moment_misses_nothing(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    """Many readers that begin while events pour in: each sees every one of them."""
    upstream.script.on(Reply(text=WORDS, delay=Delay(per_chunk_s=0.01)))
    thread_id, run_id = start_run(servers, connect)
    wholes: list[list[Any]] = []

    def read(number: int) -> None:
        url = servers.replicas[number % 3].url
        wholes.append(events_of(url, thread_id, run_id, f"{run_id}_event_0"))

    readers = []
    for number in range(15):
        reader = threading.Thread(target=read, args=(number,))
        reader.start()
        readers.append(reader)
        reader.join(0.05)
    for reader in readers:
        reader.join()
    assert len(wholes) == 15
    assert len({tuple(whole) for whole in wholes}) == 1
    assert wholes[0][-1][1] == "end"


def test_quick_runs_are_streamed_to_their_end(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    """A run that ends before its reader listens is told to the end all the same."""
    upstream.script.on(Reply(text="Yes."))
    client = connect(servers.url)
    for _ in range(20):
        thread_id = client.threads.create()["thread_id"]
        parts = list(client.runs.stream(thread_id, "agent", input=question("Quick")))
        assert parts[-1].event == "end"
        assert parts[-2].data["messages"][-1]["content"] == "Yes."


def test_a_run_may_be_cancelled_at_any_server(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="late", delay=Delay(first_byte_s=60)))
    thread_id, run_id = start_run(servers, connect)
    assert upstream.log.wait_for(1, timeout_s=30)
    for one in servers.replicas:
        client = connect(one.url)
        client.runs.cancel(thread_id, run_id, wait=True)
        assert client.runs.get(thread_id, run_id)["status"] == "interrupted"
