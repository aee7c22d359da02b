"""A server that dies or stops in the middle of a run loses nothing: the run goes on by itself."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WAIT_S = 30.0
MAX_TRIES = 3
QUESTION = {"messages": [{"role": "user", "content": "Write a.txt, then say what you did"}]}


Connect = Callable[[str], SyncLangGraphClient]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Clients of the LangGraph API that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(get_sync_client(url=url))


@pytest.fixture
def slow_second_call() -> Iterator[SimulatorServer]:
    """The model calls a tool at once, then takes its time over the answer."""
    with SimulatorServer() as simulator:
        simulator.script.on(
            Reply.call("write_file", path="a.txt", text="x", append=True), results=0
        )
        simulator.script.on(
            Reply(text="too late", delay=Delay(first_byte_s=60)), last_tool="write_file", times=1
        )
        simulator.script.on(Reply(text="I wrote a.txt."), last_tool="write_file")
        yield simulator


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def is_waiting(simulator: SimulatorServer) -> bool:
    """Whether the second call has come in whole and is not answered yet."""
    return len(simulator.log) == 2 and simulator.log[1].reply is not None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_cut_in_the_middle_goes_on_from_its_checkpoint(
    start_server: Callable[..., Any],
    slow_second_call: SimulatorServer,
    connect: Connect,
    how: signal.Signals,
) -> None:
    server = start_server(simulator=slow_second_call)
    client = connect(server.url)
    thread_id = client.threads.create()["thread_id"]
    run_id = client.runs.create(thread_id, "agent", input=QUESTION)["run_id"]
    wait_for(lambda: is_waiting(slow_second_call))

    server.stop(how)
    server.start()

    client = connect(server.url)
    run = wait_for(
        lambda: (run := client.runs.get(thread_id, run_id))["status"] == "success" and run
    )
    assert run["status"] == "success"
    assert client.threads.get(thread_id)["status"] == "idle"
    messages = client.threads.get_state(thread_id)["values"]["messages"]
    assert [m["type"] for m in messages] == ["human", "ai", "tool", "ai"]
    assert messages[-1]["content"] == "I wrote a.txt."
    written = list((server.home / "workspaces").glob("*/a.txt"))
    assert [file.read_text() for file in written] == ["x"], "the finished step was not repeated"
    assert len(slow_second_call.log) == 3


def test_finished_threads_are_still_there_after_a_kill(
    start_server: Callable[..., Any], connect: Connect
) -> None:
    server = start_server()
    client = connect(server.url)
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=QUESTION)
    before = client.threads.get_state(thread_id)
    server.kill()
    server.start()
    client = connect(server.url)
    after = client.threads.get_state(thread_id)
    assert after["values"] == before["values"]
    assert client.threads.get(thread_id)["status"] == "idle"
    # Who read its stream when the server died asks for the rest
    run_id = client.runs.list(thread_id)[0]["run_id"]
    rest = client.runs.join_stream(thread_id, run_id, last_event_id=f"{run_id}_event_1")
    assert [part.event for part in rest] == ["values", "end"]
    follow_up = {"messages": [{"role": "user", "content": "What is 2+2?"}]}
    values: Any = client.runs.wait(thread_id, "agent", input=follow_up)
    assert "4" in values["messages"][-1]["content"]


def test_a_stateless_run_whose_caller_is_gone_is_dropped(
    start_server: Callable[..., Any], connect: Connect, slow_second_call: SimulatorServer
) -> None:
    server = start_server(simulator=slow_second_call)
    connect(server.url).runs.create(None, "agent", input=QUESTION)
    wait_for(lambda: is_waiting(slow_second_call))
    server.kill()
    server.start()
    assert connect(server.url).threads.search() == []
    kept = [folder.name for folder in (server.home / "workspaces").iterdir()]
    assert [name for name in kept if not name.startswith(".spare")] == []
    assert len(slow_second_call.log) == 2


def test_a_run_that_never_gets_further_is_given_up(
    start_server: Callable[..., Any], connect: Connect
) -> None:
    with SimulatorServer() as never:
        never.script.on(Reply(text="too late", delay=Delay(first_byte_s=60)))
        server = start_server(simulator=never)
        client = connect(server.url)
        thread_id = client.threads.create()["thread_id"]
        run_id = client.runs.create(thread_id, "agent", input=QUESTION)["run_id"]
        for calls in range(1, MAX_TRIES + 2):
            assert never.log.wait_for(calls, timeout_s=WAIT_S)
            server.kill()
            server.start()
        client = connect(server.url)
        assert client.runs.get(thread_id, run_id)["status"] == "error"
        assert client.threads.get(thread_id)["status"] == "error"
        assert len(never.log) == MAX_TRIES + 1
