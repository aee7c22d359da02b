"""All servers are stopped and started one after another under load, and nobody notices."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from benchmarks.replicas_stage import Cluster
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.replicas.conftest import Connect, messages_of, question

pytestmark = [pytest.mark.replicas, pytest.mark.integration, pytest.mark.timeout(300)]

CLIENTS = 6
ANSWER_S = 0.4


@dataclass
class Load:
    """Clients that ask one thing after another through the balancer."""

    servers: Cluster
    connect: Connect
    stopped: threading.Event = field(default_factory=threading.Event)
    runs: list[tuple[str, str, str]] = field(default_factory=list)
    chats: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run_agents(self, number: int) -> None:
        client = self.connect(self.servers.url)
        for turn in range(1_000):
            if self.stopped.is_set():
                return
            name = f"n{number}-{turn}"
            try:
                thread_id = client.threads.create()["thread_id"]
                asked = question(f"Append to {name}.txt")
                run_id = client.runs.create(thread_id, "agent", input=asked)["run_id"]
                self.runs.append((thread_id, run_id, name))
                self.wait_for_end(client, thread_id, run_id)
            except httpx.HTTPError as error:
                self.errors.append(f"{name}: {error!r}")

    def wait_for_end(self, client: Any, thread_id: str, run_id: str) -> None:
        while client.runs.get(thread_id, run_id)["status"] in ("pending", "running"):
            time.sleep(0.1)

    def chat(self, number: int) -> None:
        with httpx.Client(timeout=60) as http:
            while not self.stopped.is_set():
                body = {
                    "model": "potluck",
                    "stream": True,
                    "messages": [{"role": "user", "content": f"Say yes to {number}"}],
                }
                try:
                    url = f"{self.servers.url}/v1/chat/completions"
                    with http.stream("POST", url, json=body) as answer:
                        text = answer.read().decode()
                except httpx.HTTPError as error:
                    self.errors.append(f"chat: {error!r}")
                    continue
                if answer.status_code != 200 or "[DONE]" not in text or "Yes" not in text:
                    self.errors.append(f"chat: {answer.status_code} {text[-300:]}")
                self.chats.append(text)


def test_a_rolling_restart_loses_and_doubles_nothing(
    servers: Cluster, upstream: SimulatorServer, connect: Connect
) -> None:
    def append(request: ModelRequest) -> Reply | None:
        asked = request.last_user_text
        if not asked.startswith("Append to "):
            return None
        path = asked.removeprefix("Append to ")
        if request.tool_results:
            return Reply(text="Appended.", delay=Delay(first_byte_s=ANSWER_S))
        return Reply.call("write_file", path=path, text="x", append=True)

    upstream.script.on(append)
    upstream.script.on(Reply(text="Yes, yes, yes.", delay=Delay(per_chunk_s=ANSWER_S / 3)))
    load = Load(servers, connect)
    workers = [threading.Thread(target=load.run_agents, args=(n,)) for n in range(CLIENTS)]
    workers += [threading.Thread(target=load.chat, args=(n,)) for n in range(CLIENTS // 2)]
    for worker in workers:
        worker.start()
    for one in servers.replicas:
        one.signal(15)
        assert one.wait() == 0, one.output
        one.start()
    load.stopped.set()
    for worker in workers:
        worker.join()

    assert load.errors == []
    assert len(load.runs) > CLIENTS * 3
    assert len(load.chats) > CLIENTS
    client = connect(servers.url)
    for thread_id, run_id, name in load.runs:
        assert client.runs.get(thread_id, run_id)["status"] == "success"
        types = [m["type"] for m in messages_of(client, thread_id)]
        assert types == ["human", "ai", "tool", "ai"]
        (file,) = servers.workspaces.glob(f"*/{name}.txt")
        assert file.read_text() == "x"
