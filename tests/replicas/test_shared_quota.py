"""Quota is one for all servers: not one call too many, and what waits for it goes on once."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from benchmarks.replicas_stage import Cluster
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.replicas.conftest import Connect, messages_of, question, wait_for

pytestmark = [pytest.mark.replicas, pytest.mark.integration, pytest.mark.timeout(180)]

PER_DAY = 30
CLUSTER = {"limits": f"{{requests_per_day: {PER_DAY}}}"}
PARKED_S = 15.0


def out_for_a_while(upstream: SimulatorServer, then: str = "Forty-two.") -> None:
    """Quota is used up from now on, and back in a while."""
    back_s = time.monotonic() + PARKED_S

    def refuse(_: ModelRequest) -> Reply | None:
        left_s = back_s - time.monotonic()
        if left_s <= 0:
            return None
        error = {"message": f"Too many concurrent requests. Please try again in {left_s:g}s."}
        headers = {"retry-after": f"{left_s:g}"}
        return Reply(fault=Fault(status=429, body={"error": error}, headers=headers))

    upstream.script.on(refuse)
    upstream.script.on(Reply(text=then))


def test_a_parked_run_is_gone_on_with_once(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    out_for_a_while(upstream)

    def park(number: int) -> str:
        client = connect(servers.replicas[number].url)
        thread_id = client.threads.create()["thread_id"]
        client.runs.wait(thread_id, "agent", input=question("What is the answer?"))
        return thread_id

    with ThreadPoolExecutor() as pool:
        threads = list(pool.map(park, range(3)))
    listed = httpx.get(f"{servers.url}/quota/parked").json()["parked"]
    assert {one["thread_id"] for one in listed} == set(threads)
    clients = [connect(one.url) for one in servers.replicas]
    for thread_id in threads:
        wait_for(lambda thread_id=thread_id: clients[0].threads.get(thread_id)["status"] == "idle")
        said = [m["content"] for m in messages_of(clients[1], thread_id)]
        assert said == ["What is the answer?", "Forty-two."]
        # Where it goes on, the server may have been refused later than the one that woke it, and
        # know of an outage that ends later: then it is parked again, without asking
        newest, *before = (run["status"] for run in clients[2].runs.list(thread_id))
        assert (newest, set(before)) == ("success", {"interrupted"})
    answers = Counter(one.status for one in upstream.log)
    # No server asks a second time while it is out, whatever wakes the runs
    assert answers.pop(429) <= len(servers.replicas)
    assert answers == {200: len(threads)}


def test_a_parked_run_goes_on_although_its_server_is_gone(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    out_for_a_while(upstream)
    victim, other, _ = servers.replicas
    thread_id = connect(victim.url).threads.create()["thread_id"]
    connect(victim.url).runs.wait(thread_id, "agent", input=question("And then?"))
    victim.kill()
    client = connect(other.url)
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    assert [m["content"] for m in messages_of(client, thread_id)][-1] == "Forty-two."


def test_no_server_asks_for_more_than_there_is(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    """Far more is asked at once, at all three, than the day has left."""
    upstream.script.on(Reply(text="Yes."))
    before = used_today(servers)

    def ask(number: int) -> int:
        body: Any = {
            "model": "box/box",
            "messages": [{"role": "user", "content": f"Question {number}"}],
        }
        url = servers.replicas[number % 3].url
        return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120).status_code

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(2 * PER_DAY)))
    left = PER_DAY - before
    assert left > 0
    assert answers.count(200) == left
    assert answers.count(429) == 2 * PER_DAY - left
    assert len(upstream.log) == left


def used_today(servers: Cluster) -> int:
    report = httpx.get(f"{servers.url}/quota").json()
    windows = [
        window
        for provider in report["providers"]
        for model in provider["models"]
        for window in model["windows"]
        if window["unit"] == "requests" and window["period"] == "day"
    ]
    return int(windows[0]["used"])
