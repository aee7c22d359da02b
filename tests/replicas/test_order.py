"""Runs and turns on one thread go one after another, whichever servers they come in at."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest

from benchmarks.replicas_stage import Cluster
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.replicas.conftest import (
    Connect,
    holder_of,
    messages_of,
    others_than,
    question,
    wait_for,
)

pytestmark = [pytest.mark.replicas, pytest.mark.integration, pytest.mark.timeout(180)]

RUNS = 9
ANSWER_S = 0.3


def said(messages: list[dict[str, Any]]) -> list[str]:
    return [str(m["content"]) for m in messages]


def test_runs_of_one_thread_keep_their_order(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="Yes.", delay=Delay(first_byte_s=ANSWER_S)))
    clients = [connect(one.url) for one in servers.replicas]
    thread_id = clients[0].threads.create()["thread_id"]
    asked = [f"Question {number}" for number in range(RUNS)]
    runs = [
        clients[number % 3].runs.create(thread_id, "agent", input=question(text))["run_id"]
        for number, text in enumerate(asked)
    ]
    clients[0].runs.join(thread_id, runs[-1])
    expected = [text for one in asked for text in (one, "Yes.")]
    assert said(messages_of(clients[1], thread_id)) == expected
    assert {run["status"] for run in clients[2].runs.list(thread_id)} == {"success"}
    # None was asked before the one before it had been answered
    asked_at = [entry.at for entry in upstream.log]
    gaps = [(b - a).total_seconds() for a, b in pairwise(asked_at)]
    assert min(gaps) >= ANSWER_S * 0.9


def test_the_next_waits_for_one_that_is_taken_over(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="late", delay=Delay(first_byte_s=120)), times=1)
    upstream.script.on(Reply(text="Yes."))
    client = connect(servers.url)
    thread_id = client.threads.create()["thread_id"]
    first = client.runs.create(thread_id, "agent", input=question("First"))["run_id"]
    second = client.runs.create(thread_id, "agent", input=question("Second"))["run_id"]
    assert upstream.log.wait_for(1, timeout_s=30)
    victim = holder_of(servers, first)
    victim.kill()
    client = connect(others_than(servers, victim)[0].url)
    client.runs.join(thread_id, second)
    assert said(messages_of(client, thread_id)) == ["First", "Yes.", "Second", "Yes."]


def test_the_next_begins_when_one_that_waits_is_cancelled(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="late", delay=Delay(first_byte_s=120)), times=1)
    upstream.script.on(Reply(text="Yes."))
    clients = [connect(one.url) for one in servers.replicas]
    thread_id = clients[0].threads.create()["thread_id"]
    runs = [
        client.runs.create(thread_id, "agent", input=question(text))["run_id"]
        for client, text in zip(clients, ("First", "Second", "Third"), strict=True)
    ]
    assert upstream.log.wait_for(1, timeout_s=30)
    clients[2].runs.cancel(thread_id, runs[1], wait=True)
    clients[1].runs.cancel(thread_id, runs[0], wait=True)
    answer: Any = clients[0].runs.join(thread_id, runs[2])
    assert said(answer["messages"])[-2:] == ["Third", "Yes."]
    assert [clients[0].runs.get(thread_id, one)["status"] for one in runs[:2]] == [
        "interrupted",
        "interrupted",
    ]


def test_two_doors_of_two_servers_share_a_thread(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="Yes.", delay=Delay(first_byte_s=ANSWER_S)))

    def by_openai(number: int) -> httpx.Response:
        return httpx.post(
            f"{servers.replicas[number % 3].url}/v1/chat/completions",
            headers={"X-Chat-Id": "two servers", "X-Potluck-History": "newest"},
            json={
                "model": "potluck",
                "messages": [{"role": "user", "content": f"OpenAI {number}"}],
            },
            timeout=60,
        )

    first = by_openai(0)
    assert first.status_code == 200, first.text
    thread_id = first.headers["X-Potluck-Thread-Id"]

    def by_langserve(number: int) -> httpx.Response:
        return httpx.post(
            f"{servers.replicas[number % 3].url}/agent/invoke",
            json={
                "input": {"messages": [{"type": "human", "content": f"LangServe {number}"}]},
                "config": {"configurable": {"thread_id": thread_id}},
            },
            timeout=60,
        )

    with ThreadPoolExecutor() as pool:
        turns = [pool.submit(by_openai, n) for n in (1, 2)]
        turns += [pool.submit(by_langserve, n) for n in range(3)]
        assert [turn.result().status_code for turn in turns] == [200] * 5
    messages = messages_of(connect(servers.url), thread_id)
    assert [m["type"] for m in messages] == ["human", "ai"] * 6
    told = {f"{door} {n}" for door in ("OpenAI", "LangServe") for n in range(3)}
    assert set(said(messages)[::2]) == told


def test_a_waiting_reader_hears_of_the_end_at_once(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    upstream.script.on(Reply(text="Yes."))
    client = connect(servers.replicas[0].url)
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=question("Warm up"))
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    with httpx.Client(base_url=servers.replicas[0].url, timeout=30) as http:
        path = f"/threads/{thread_id}/runs/wait"
        body = {"assistant_id": "agent", "input": question("Quick")}
        answers = [http.post(path, json=body) for _ in range(5)]
    # Asking every two seconds, as it would be otherwise, takes that long
    assert min(answer.elapsed.total_seconds() for answer in answers) < 1.0
