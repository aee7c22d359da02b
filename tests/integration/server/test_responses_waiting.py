"""Responses that wait: for a person's approval, and for quota."""

import shutil
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from potluck.simulator.reply import Fault, FaultKind, Reply
from potluck.simulator.request import ToolCall
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

BEYOND_S = 6.0
RULES = "tools: {write_file: {policy: ask}}\n"


@pytest.fixture(scope="module")
def shared_waiting_server(
    one_model: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PotluckServer]:
    config = tmp_path_factory.mktemp("waiting") / "config"
    shutil.copytree(one_model, config)
    (config / "tools.yaml").write_text(RULES)
    with SimulatorServer() as simulator:
        server = PotluckServer(make_home(), simulator, env={"POTLUCK_CONFIG_DIR": str(config)})
        yield server.start()
        remove(server)


@pytest.fixture
def server(shared_waiting_server: PotluckServer) -> PotluckServer:
    assert shared_waiting_server.simulator is not None
    shared_waiting_server.simulator.script.clear()
    return shared_waiting_server


@pytest.fixture
def client(server: PotluckServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def ask(client: OpenAI, text: str, **more: Any) -> Any:
    return client.responses.create(model="potluck", input=text, **more)


def scripted(server: PotluckServer) -> None:
    call = ToolCall("write_file", {"path": "a.txt", "text": "new"})
    assert server.simulator is not None
    server.simulator.script.on(Reply(tool_calls=(call,)), Reply(text="Done."))


def written(server: PotluckServer) -> list[str]:
    found = list((server.home / "workspaces").rglob("a.txt"))
    texts = [path.read_text() for path in found]
    for path in found:
        path.unlink()
    return texts


@pytest.mark.parametrize(("answer", "files"), [("yes", ["new"]), ("no", [])])
@pytest.mark.parametrize("background", [False, True])
def test_the_next_response_answers_what_was_asked(
    client: OpenAI, server: PotluckServer, answer: str, files: list[str], *, background: bool
) -> None:
    scripted(server)
    first = ask(client, "Write it", background=background)
    while first.status in ("queued", "in_progress"):
        first = client.responses.retrieve(first.id)
    assert "write_file" in first.output_text
    assert written(server) == []

    second = ask(client, answer, previous_response_id=first.id)
    assert second.output_text == "Done."
    assert written(server) == files


def test_what_was_not_answered_does_not_run(client: OpenAI, server: PotluckServer) -> None:
    before = ask(client, "Hello")
    scripted(server)
    first = ask(client, "Write it", previous_response_id=before.id)
    assert "write_file" in first.output_text
    assert server.simulator is not None
    server.simulator.script.clear()

    # A branch beside the question is no answer to it.
    ask(client, "yes", previous_response_id=before.id)
    assert written(server) == []


def spent(server: PotluckServer, for_s: float) -> None:
    """The quota is used up for so long."""
    error = {"message": f"Too many concurrent requests. Please try again in {for_s:g}s."}
    fault = Fault(status=429, body={"error": error}, headers={"retry-after": f"{for_s:g}"})
    assert server.simulator is not None
    server.simulator.script.on(Reply(fault=fault), times=1)
    server.simulator.script.on(lambda request: Reply(text=f"Answer to: {request.last_user_text}"))


def test_an_answer_that_waited_for_quota_comes_with_the_next_response(
    client: OpenAI, server: PotluckServer
) -> None:
    spent(server, BEYOND_S)
    first = ask(client, "Tell")
    assert first.status == "completed"
    assert "goes on by itself" in first.output_text

    time.sleep(BEYOND_S + 1)
    second = ask(client, "Well?", previous_response_id=first.id)
    assert "Answer to: Tell" in second.output_text
    assert "Answer to: Well?" in second.output_text


def test_in_the_background_quota_is_waited_for(client: OpenAI, server: PotluckServer) -> None:
    spent(server, BEYOND_S)
    made = ask(client, "Tell", background=True)
    while made.status in ("queued", "in_progress"):
        made = client.responses.retrieve(made.id)
        time.sleep(0.1)
    assert made.output_text == "Answer to: Tell"


def test_waiting_for_quota_in_the_background_can_be_stopped(
    client: OpenAI, server: PotluckServer
) -> None:
    spent(server, BEYOND_S)
    made = ask(client, "Tell", background=True)
    time.sleep(2)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert httpx.get(f"{server.url}/quota/parked").json() == {"parked": []}


def test_without_quota_a_model_alone_says_so_with_429(
    client: OpenAI, server: PotluckServer
) -> None:
    assert server.simulator is not None
    server.simulator.script.on(Reply(fault=Fault(FaultKind.DAY_REQUESTS, retry_after_s=4000)))
    with pytest.raises(openai.RateLimitError) as raised:
        client.responses.create(model="box/box", input="Tell")
    assert int(raised.value.response.headers["retry-after"]) > 60
