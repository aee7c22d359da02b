"""`potluck` beside a server with keys: as whom it asks, and what names mean there."""

import json
from collections.abc import Callable

import httpx
import pytest

from potluck.server.turn import thread_id_of
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer
from tests.integration.terminal.test_chat import potluck, thread_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEYS = "counter:one:metrics,ann:two:admin,bob:three"


@pytest.fixture(scope="module")
def shared_keyed_server(
    simulator: SimulatorServer, make_server: Callable[..., PotluckServer]
) -> PotluckServer:
    return make_server(simulator=simulator, env={"POTLUCK_API_KEYS": KEYS})


@pytest.fixture
def keyed_server(shared_keyed_server: PotluckServer) -> PotluckServer:
    assert shared_keyed_server.simulator is not None
    shared_keyed_server.simulator.script.clear()
    shared_keyed_server.simulator.log.clear()
    return shared_keyed_server


def last_asked(server: PotluckServer) -> str:
    assert server.simulator is not None
    return str(server.simulator.log.requests()[-1].messages)


def test_a_name_is_the_same_thread_as_at_the_langserve_door(keyed_server: PotluckServer) -> None:
    assert keyed_server.simulator is not None
    keyed_server.simulator.script.on(Reply(text="Noted."))
    said = {"input": "My name is Ada", "config": {"configurable": {"thread_id": "trip"}}}
    answer = httpx.post(
        f"{keyed_server.url}/agent/invoke", json=said, headers={"X-Api-Key": "two"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    asked = potluck(keyed_server, "chat", "What is my name?", "--thread", "trip")
    assert thread_of(asked) == thread_id_of("trip", "ann")
    assert "My name is Ada" in last_asked(keyed_server)
    others = potluck(
        keyed_server, "chat", "Who am I?", "--thread", "trip", POTLUCK_API_KEYS="bob:three"
    )
    assert others.returncode == 0, others.stderr
    assert thread_of(others) == thread_id_of("trip", "bob")
    assert "Ada" not in last_asked(keyed_server)


def test_the_beginning_of_an_id_is_enough_to_go_on(keyed_server: PotluckServer) -> None:
    assert keyed_server.simulator is not None
    keyed_server.simulator.script.on(Reply(text="Noted."))
    first = thread_of(potluck(keyed_server, "chat", "My name is Eve"))
    second = potluck(keyed_server, "chat", "And mine?", "--thread", first[:8])
    assert thread_of(second) == first
    assert "My name is Eve" in last_asked(keyed_server)


def test_a_proxy_of_the_environment_is_not_asked(keyed_server: PotluckServer) -> None:
    assert keyed_server.simulator is not None
    keyed_server.simulator.script.on(Reply(text="Here."))
    nowhere = "http://127.0.0.1:9"
    done = potluck(keyed_server, "chat", "hi", HTTP_PROXY=nowhere, http_proxy=nowhere)
    assert done.stdout == "Here.\n", done.stderr


def test_an_answer_for_programs(keyed_server: PotluckServer) -> None:
    assert keyed_server.simulator is not None
    keyed_server.simulator.script.on(Reply(text="It\tis *42*."))
    done = potluck(keyed_server, "chat", "--json", "What is it?")
    assert json.loads(done.stdout) == {
        "thread": thread_of(done),
        "answer": "It\tis *42*.",
        "sources": [],
        "pictures": [],
        "approvals": [],
    }
    assert potluck(keyed_server, "chat", "--json").returncode == 1


def test_a_run_that_does_not_wait_cannot_be_resumed(keyed_server: PotluckServer) -> None:
    done = potluck(keyed_server, "usage", "--resume", "nothing", "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "`potluck usage` lists" in done.stderr


GOALS = ("Name a colour", "Name a tree", "Name a city")
PLAN = [
    *({"goal": goal, "kind": "think", "needs": [], "done_when": ""} for goal in GOALS),
    {"goal": "Put them together", "kind": "think", "needs": [1, 2, 3], "done_when": ""},
]


def planned(request: ModelRequest) -> Reply:
    if request.tool("send_back"):
        return Reply(text="Red, oak, Paris.")
    for name in ("submit_plan", "make_plan"):
        if request.tool(name):
            return Reply.call(name, steps=PLAN)
    if request.tool("submit_results"):
        found = [{"step": step, "result": goal} for step, goal in enumerate(GOALS, start=1)]
        return Reply.call("submit_results", results=found)
    return Reply(text="Red, oak, Paris.")


def test_steps_that_share_a_call_are_counted(keyed_server: PotluckServer) -> None:
    assert keyed_server.simulator is not None
    keyed_server.simulator.script.on(planned)
    before = json.loads(potluck(keyed_server, "usage", "--json").stdout)["today"]
    question = (
        "Name a colour, a tree and a city, each with reasons, then write a report on all three."
    )
    done = potluck(keyed_server, "chat", question)
    assert done.stdout == "Red, oak, Paris.\n", done.stderr
    after = json.loads(potluck(keyed_server, "usage", "--json").stdout)["today"]
    assert after["batches"] == before["batches"] + 1
    assert after["batched_steps"] == before["batched_steps"] + 3
    told = potluck(keyed_server, "usage").stdout
    assert "3 steps batched in 1 call;" in told
