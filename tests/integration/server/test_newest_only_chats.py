"""Chats whose client sends nothing but its newest message: parked work and approvals."""

import asyncio
import uuid
from typing import Any

import pytest
from langgraph_sdk.client import SyncLangGraphClient
from openai import AsyncOpenAI

from potluck.simulator.reply import Reply
from tests.conftest import PotluckServer
from tests.replies import answering, out_of_quota, write

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

BEYOND_S = 6.0


@pytest.fixture
def server(asking_server: PotluckServer) -> PotluckServer:
    return asking_server


class Chat:
    """One chat of a client that leaves the history to the server."""

    def __init__(self, openai: AsyncOpenAI, langgraph: SyncLangGraphClient) -> None:
        self._openai = openai
        self._langgraph = langgraph
        self._name = str(uuid.uuid4())
        self.thread_id = ""

    async def say(self, text: str) -> str:
        raw = await self._openai.chat.completions.with_raw_response.create(
            model="potluck",
            messages=[{"role": "user", "content": text}],
            extra_headers={"X-Chat-Id": self._name},
        )
        self.thread_id = raw.headers["x-potluck-thread-id"]
        return str(raw.parse().choices[0].message.content)

    async def idle(self) -> None:
        async with asyncio.timeout(30):
            while self._langgraph.threads.get(self.thread_id)["status"] != "idle":  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.1)

    def thread(self) -> list[str]:
        state: Any = self._langgraph.threads.get_state(self.thread_id)
        return [str(message["content"]) for message in state["values"]["messages"]]


@pytest.fixture
def chat(openai: AsyncOpenAI, langgraph: SyncLangGraphClient) -> Chat:
    return Chat(openai, langgraph)


def spent(server: PotluckServer) -> None:
    """The quota is used up, for longer than a client is kept waiting."""
    server.script.on(out_of_quota(BEYOND_S), times=1)
    server.script.on(answering)


async def test_the_answer_that_came_while_parked_is_told_first(
    server: PotluckServer, chat: Chat
) -> None:
    spent(server)
    assert "goes on by itself" in await chat.say("one")
    await chat.idle()
    assert await chat.say("two") == "Re: one\n\n---\n\nRe: two"
    assert await chat.say("three") == "Re: three"
    assert chat.thread() == ["one", "Re: one", "two", "Re: two", "three", "Re: three"]


async def test_the_same_message_while_parked_is_not_asked_twice(
    server: PotluckServer, chat: Chat
) -> None:
    spent(server)
    await chat.say("one")
    await chat.say("one")
    await chat.idle()
    assert await chat.say("two") == "Re: one\n\n---\n\nRe: two"
    assert chat.thread() == ["one", "Re: one", "two", "Re: two"]


async def test_a_lone_yes_approves_what_was_asked(server: PotluckServer, chat: Chat) -> None:
    server.script.on(Reply(tool_calls=(write("a.txt"),)), Reply(text="Done."))
    assert "I would like to run `write_file`" in await chat.say("write")
    assert list(server.home.rglob("a.txt")) == []
    assert await chat.say("yes") == "Done."
    (written,) = server.home.rglob("a.txt")
    assert chat.thread_id in str(written)
