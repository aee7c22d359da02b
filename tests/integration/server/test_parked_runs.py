"""Runs that meet spent quota on a real server: they wait, go on by themselves, exactly once."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient

from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer
from tests.replies import out_of_quota

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WAIT_S = 30.0
LATEST_S = 5.0
QUESTION: Any = {"messages": [{"role": "user", "content": "What is the answer?"}]}
MODEL = "box/box"

Connect = Callable[[str], SyncLangGraphClient]


def spent(provider: SimulatorServer, *, for_s: float, then: str = "Forty-two.") -> None:
    """Quota is used up, and back after so many seconds."""
    provider.script.on(out_of_quota(for_s), times=1)
    provider.script.on(Reply(text=then))


def wait_for(condition: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    deadline = time.monotonic() + wait_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def parked(url: str) -> list[dict[str, Any]]:
    return httpx.get(f"{url}/quota/parked").json()["parked"]


def texts(client: SyncLangGraphClient, thread_id: str) -> list[str]:
    state: Any = client.threads.get_state(thread_id)
    return [m["content"] for m in state["values"]["messages"]]


def park(client: SyncLangGraphClient, **options: Any) -> tuple[str, dict[str, Any]]:
    """A thread whose run is parked, and the interrupt that says so."""
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=QUESTION, **options)
    state: Any = client.threads.get_state(thread_id)
    (interrupt,) = state["interrupts"]
    return thread_id, interrupt["value"]


def test_it_goes_on_at_its_time_with_the_context_it_had(
    quota_server: Any, connect: Connect
) -> None:
    server, provider = quota_server, quota_server.simulator
    spent(provider, for_s=3)
    client = connect(server.url)
    context = {"instructions": "Talk like a pirate", "priority": "background"}
    thread_id, value = park(client, context=context)
    assert value["type"] == "parked"
    assert value["waiting_for"] == [MODEL]
    assert client.threads.get(thread_id)["status"] == "interrupted"
    (listed,) = parked(server.url)
    assert listed["thread_id"] == thread_id
    assert listed["priority"] == "background"
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    due = datetime.fromisoformat(value["resume_at"])
    newest = client.runs.list(thread_id)[0]
    late = (datetime.fromisoformat(str(newest["created_at"])) - due).total_seconds()
    assert 0 <= late < 1.0
    assert texts(client, thread_id) == ["What is the answer?", "Forty-two."]
    assert "Talk like a pirate" in provider.log.last.request.system_text
    assert len(provider.log) == 2
    assert parked(server.url) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("over", [True, False], ids=["due while down", "due later"])
def test_a_restart_changes_nothing(
    start: Any, provider: SimulatorServer, connect: Connect, how: signal.Signals, over: bool
) -> None:
    spent(provider, for_s=3 if over else 9)
    server = start()
    thread_id, value = park(connect(server.url))
    server.stop(how)
    if over:
        time.sleep(3)
    server.start()
    client = connect(server.url)
    started = datetime.now(UTC)
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    resume_at = datetime.fromisoformat(value["resume_at"])
    assert (datetime.now(UTC) - max(resume_at, started)).total_seconds() < LATEST_S
    assert provider.log[1].at >= resume_at, "it was asked for although the wait was known"
    assert texts(client, thread_id) == ["What is the answer?", "Forty-two."]
    assert len(provider.log) == 2


def test_it_is_parked_again_when_quota_is_not_back(quota_server: Any, connect: Connect) -> None:
    server, provider = quota_server, quota_server.simulator
    spent_once = out_of_quota(3)
    provider.script.on(spent_once, times=3)
    provider.script.on(Reply(text="Forty-two."))
    client = connect(server.url)
    thread_id, _ = park(client)
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    assert texts(client, thread_id)[-1] == "Forty-two."
    assert len(provider.log) == 4
    assert len(client.runs.list(thread_id)) == 4


def test_it_can_be_gone_on_with_at_once(
    start: Any, provider: SimulatorServer, connect: Connect
) -> None:
    spent(provider, for_s=900)
    server = start()
    client = connect(server.url)
    thread_id, _ = park(client)
    done = httpx.post(f"{server.url}/quota/parked/{thread_id}/resume")
    assert done.json() == {"thread_id": thread_id, "status": "resumed"}
    # The provider said 15 minutes, but whoever asks may know better: its model is asked again.
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    assert texts(client, thread_id)[-1] == "Forty-two."
    assert parked(server.url) == []
    assert len(provider.log) == 2


def test_gone_on_with_too_early_it_is_parked_again(
    start: Any, provider: SimulatorServer, connect: Connect
) -> None:
    provider.script.on(out_of_quota(900))
    server = start()
    thread_id, _ = park(connect(server.url))
    httpx.post(f"{server.url}/quota/parked/{thread_id}/resume")
    wait_for(lambda: [run["times"] for run in parked(server.url)] == [2])
    assert len(provider.log) == 2


def test_it_can_be_cancelled(start: Any, provider: SimulatorServer, connect: Connect) -> None:
    spent(provider, for_s=900)
    server = start()
    client = connect(server.url)
    thread_id, _ = park(client)
    done = httpx.delete(f"{server.url}/quota/parked/{thread_id}")
    assert done.json() == {"thread_id": thread_id, "status": "cancelled"}
    assert client.threads.get(thread_id)["status"] == "idle"
    state: Any = client.threads.get_state(thread_id)
    assert state["interrupts"] == []
    assert state["next"] == []
    assert texts(client, thread_id)[-1] == "Cancelled while waiting for quota."
    assert parked(server.url) == []
    for again in (
        httpx.delete(f"{server.url}/quota/parked/{thread_id}"),
        httpx.post(f"{server.url}/quota/parked/{thread_id}/resume"),
    ):
        assert again.status_code == 404
        assert "GET /quota/parked" in again.json()["detail"]


def test_a_new_message_takes_the_work_over(quota_server: Any, connect: Connect) -> None:
    server, provider = quota_server, quota_server.simulator
    spent(provider, for_s=3, then="Both.")
    client = connect(server.url)
    thread_id, value = park(client)
    due = datetime.fromisoformat(value["resume_at"]).timestamp()
    time.sleep(max(0, due - time.time() - 0.2))
    provider.script.clear()
    provider.script.on(Reply(text="Both."))
    more: Any = {"messages": [{"role": "user", "content": "And the question?"}]}
    client.runs.wait(thread_id, "agent", input=more)
    wait_for(lambda: client.threads.get(thread_id)["status"] in ("idle", "interrupted"))
    time.sleep(2)
    assert parked(server.url) == []
    said = texts(client, thread_id)
    assert said[0] == "What is the answer?"
    assert said.count("And the question?") == 1
    assert said[-1] == "Both."


def test_a_deleted_thread_is_forgotten(quota_server: Any, connect: Connect) -> None:
    server, provider = quota_server, quota_server.simulator
    spent(provider, for_s=3)
    client = connect(server.url)
    thread_id, _ = park(client)
    client.threads.delete(thread_id)
    wait_for(lambda: parked(server.url) == [])
    assert len(provider.log) == 1
