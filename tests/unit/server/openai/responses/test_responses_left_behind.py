"""What became of work in the background whose process is gone, by what its thread holds."""

from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError

from potluck.server.openai.responses.items import Items, kept_form
from potluck.server.openai.responses.kept import Kept
from potluck.server.openai.responses.left_behind import STOPPED, as_it_stands

HUMAN = {"type": "human", "content": "Tell  me"}
PARKED = {"id": "i", "value": {"type": "parked", "resume_at": "2026-11-21T10:00:00+00:00"}}
APPROVAL = {
    "id": "j",
    "value": {"action_requests": [{"name": "shell", "args": {"command": "ls"}}]},
}


class Threads:
    def __init__(self, status: str, messages: Any, interrupts: Any) -> None:
        self._thread = {"status": status}
        values = {"messages": messages, "usage": {"input_tokens": 2, "output_tokens": 3}}
        self._state = {"values": values, "tasks": [], "interrupts": interrupts}

    async def get(self, thread_id: str) -> Any:
        if thread_id == "gone":
            request = httpx.Request("GET", "http://x")
            raise NotFoundError("no", response=httpx.Response(404, request=request), body=None)
        return self._thread

    async def get_state(self, _: str) -> Any:
        return self._state


class Client:
    def __init__(self, *given: Any) -> None:
        self.threads = Threads(*given)


async def stand(
    status: str = "idle", messages: Any = (), interrupts: Any = (), thread_id: str | None = "t"
) -> Any:
    body = {"id": "resp_1", "status": "in_progress", "created_at": 1, "output": []}
    asked = [
        kept_form(one) for one in Items.validate_python([{"role": "user", "content": "Tell me"}])
    ]
    client: Any = Client(status, list(messages), list(interrupts))
    return await as_it_stands(Kept("", body, asked), client, thread_id)


async def test_the_answer_on_the_thread_is_the_answer() -> None:
    body = await stand(messages=[HUMAN, {"type": "ai", "content": "A tale."}])
    assert body["status"] == "completed"
    assert body["output"][0]["content"][0]["text"] == "A tale."
    assert body["usage"]["total_tokens"] == 5


@pytest.mark.parametrize(("status", "interrupts"), [("busy", []), ("interrupted", [PARKED])])
async def test_a_run_that_goes_on_is_waited_for(status: str, interrupts: Any) -> None:
    assert (await stand(status, [HUMAN], interrupts))["status"] == "in_progress"


async def test_a_question_to_a_person_is_the_answer() -> None:
    body = await stand("interrupted", [HUMAN], [APPROVAL])
    assert body["status"] == "completed"
    assert "shell" in body["output"][0]["content"][0]["text"]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [HUMAN],
        [HUMAN, {"type": "ai", "content": ""}],
        [HUMAN, {"type": "ai", "content": "A"}, {"type": "human", "content": "Other"}],
        [{"type": "human", "content": "Other"}, {"type": "ai", "content": "B"}],
    ],
)
async def test_without_an_answer_of_its_own_it_has_failed(messages: Any) -> None:
    body = await stand(messages=messages)
    assert (body["status"], body["error"]["message"]) == ("failed", STOPPED)


@pytest.mark.parametrize("thread_id", [None, "gone"])
async def test_without_a_thread_it_has_failed(thread_id: str | None) -> None:
    assert (await stand(thread_id=thread_id))["status"] == "failed"
