"""The runs of a server that is killed go on at another, each exactly once."""

import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.replicas_stage import Cluster
from nodes.deeds import CUT_OFF
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.replicas.conftest import (
    Connect,
    events_of,
    holder_of,
    messages_of,
    others_than,
    question,
    wait_for,
)

pytestmark = [pytest.mark.replicas, pytest.mark.integration, pytest.mark.timeout(240)]

# Its death is noticed at once, believed after 4 s, looked for every second
TAKEN_OVER_S = 10.0


def written(servers: Cluster, name: str) -> list[Path]:
    return list(servers.workspaces.glob(f"*/{name}"))


def test_what_was_done_is_not_done_again(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply.call("write_file", path="a.txt", text="x", append=True), results=0)
    upstream.script.on(
        Reply(text="too late", delay=Delay(first_byte_s=120)), last_tool="write_file", times=1
    )
    upstream.script.on(Reply(text="I wrote a.txt."), last_tool="write_file")
    client = connect(servers.replicas[0].url)
    thread_id = client.threads.create()["thread_id"]
    run_id = client.runs.create(thread_id, "agent", input=question("Write a.txt"))["run_id"]
    wait_for(lambda: len(upstream.log) == 2 and upstream.log[1].reply is not None)
    victim = holder_of(servers, run_id)

    victim.kill()
    killed_s = time.monotonic()

    survivor = others_than(servers, victim)[0]
    events = events_of(survivor.url, thread_id, run_id, f"{run_id}_event_0")
    assert time.monotonic() - killed_s < TAKEN_OVER_S
    assert events[-1][1] == "end"
    client = connect(survivor.url)
    assert client.runs.get(thread_id, run_id)["status"] == "success"
    assert client.threads.get(thread_id)["status"] == "idle"
    messages = messages_of(client, thread_id)
    assert [m["type"] for m in messages] == ["human", "ai", "tool", "ai"]
    assert messages[-1]["content"] == "I wrote a.txt."
    assert [file.read_text() for file in written(servers, "a.txt")] == ["x"]
    assert len(upstream.log) == 3


def test_a_call_that_was_cut_off_is_not_made_again(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    """It has done its deed, and is killed before it could say so."""
    command = "echo once >> cut.txt; sleep 60"
    upstream.script.on(Reply.call("shell", command=command), results=0)
    upstream.script.on(Reply(text="I looked: it is done."), last_tool="shell")
    client = connect(servers.replicas[1].url)
    thread_id = client.threads.create()["thread_id"]
    run_id = client.runs.create(thread_id, "agent", input=question("Run it"))["run_id"]
    wait_for(lambda: written(servers, "cut.txt"))
    victim = holder_of(servers, run_id)

    victim.kill()

    client = connect(others_than(servers, victim)[0].url)
    wait_for(lambda: client.runs.get(thread_id, run_id)["status"] == "success")
    messages = messages_of(client, thread_id)
    assert [m["type"] for m in messages] == ["human", "ai", "tool", "ai"]
    assert messages[2]["content"] == CUT_OFF
    assert messages[2]["status"] == "error"
    assert [file.read_text() for file in written(servers, "cut.txt")] == ["once\n"]


def test_a_run_that_had_not_begun_begins_elsewhere(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="late", delay=Delay(first_byte_s=120)), times=1)
    upstream.script.on(Reply(text="Here."))
    client = connect(servers.replicas[2].url)
    thread_id = client.threads.create()["thread_id"]
    run_id = client.runs.create(thread_id, "agent", input=question("Hello"))["run_id"]
    assert upstream.log.wait_for(1, timeout_s=30)
    victim = holder_of(servers, run_id)
    victim.kill()
    client = connect(others_than(servers, victim)[0].url)
    answer: Any = client.runs.join(thread_id, run_id)
    assert [m["type"] for m in answer["messages"]] == ["human", "ai"]
    assert answer["messages"][-1]["content"] == "Here."


def test_a_run_that_kills_every_server_is_given_up(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="late", delay=Delay(first_byte_s=120)))
    client = connect(servers.url)
    thread_id = client.threads.create()["thread_id"]
    run_id = client.runs.create(thread_id, "agent", input=question("Die"))["run_id"]
    for calls in range(1, 5):
        assert upstream.log.wait_for(calls, timeout_s=60)
        victim = holder_of(servers, run_id)
        victim.kill()
        victim.start()
    client = connect(servers.url)
    run: Any = wait_for(
        lambda: (found := client.runs.get(thread_id, run_id))["status"] == "error" and found
    )
    assert "without a step forward" in run["error_message"]
    assert client.threads.get(thread_id)["status"] == "error"
    assert len(upstream.log) == 4
