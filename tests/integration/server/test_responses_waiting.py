"""Responses that wait: for a person's approval, and for quota."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from potluck.simulator.reply import Fault, FaultKind, Reply
from tests.conftest import PotluckServer
from tests.replies import answering, out_of_quota, write

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

BEYOND_S = 6.0


@pytest.fixture
def server(asking_server: PotluckServer) -> PotluckServer:
    return asking_server


@pytest.fixture
def client(server: PotluckServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def ask(client: OpenAI, text: str, **more: Any) -> Any:
    return client.responses.create(model="potluck", input=text, **more)


def scripted(server: PotluckServer) -> None:
    server.script.on(Reply(tool_calls=(write("a.txt"),)), Reply(text="Done."))


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
    server.script.clear()

    # A branch beside the question is no answer to it.
    ask(client, "yes", previous_response_id=before.id)
    assert written(server) == []


def spent(server: PotluckServer) -> None:
    """The quota is used up, for longer than a client is kept waiting."""
    server.script.on(out_of_quota(BEYOND_S), times=1)
    server.script.on(answering)


def test_an_answer_that_waited_for_quota_comes_with_the_next_response(
    client: OpenAI, server: PotluckServer
) -> None:
    spent(server)
    first = ask(client, "Tell")
    assert first.status == "completed"
    assert "goes on by itself" in first.output_text

    time.sleep(BEYOND_S + 1)
    second = ask(client, "Well?", previous_response_id=first.id)
    assert "Re: Tell" in second.output_text
    assert "Re: Well?" in second.output_text


def test_in_the_background_quota_is_waited_for(client: OpenAI, server: PotluckServer) -> None:
    spent(server)
    made = ask(client, "Tell", background=True)
    while made.status in ("queued", "in_progress"):
        made = client.responses.retrieve(made.id)
        time.sleep(0.1)
    assert made.output_text == "Re: Tell"


def test_waiting_for_quota_in_the_background_can_be_stopped(
    client: OpenAI, server: PotluckServer
) -> None:
    spent(server)
    made = ask(client, "Tell", background=True)
    time.sleep(2)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert httpx.get(f"{server.url}/quota/parked").json() == {"parked": []}


def is_free(server: PotluckServer) -> bool:
    """Whether what other tests have used up is back."""
    providers = httpx.get(f"{server.url}/quota").json()["providers"]
    (box,) = (one for one in providers if one["id"] == "box")
    return all(model["available"] for model in box["models"])


def test_without_quota_a_model_alone_says_so_with_429(
    client: OpenAI, server: PotluckServer
) -> None:
    while not is_free(server):
        time.sleep(0.1)
    server.script.on(Reply(fault=Fault(FaultKind.DAY_REQUESTS, retry_after_s=4000)))
    with pytest.raises(openai.RateLimitError) as raised:
        client.responses.create(model="box/box", input="Tell")
    assert int(raised.value.response.headers["retry-after"]) > 60
