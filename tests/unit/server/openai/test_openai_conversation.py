from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError
from pydantic import TypeAdapter

from potluck.server.openai.caller import Chat
from potluck.server.openai.conversation import REMOVE_ALL, input_for
from potluck.server.openai.request import Message
from potluck.server.openai.transcript import CONTINUE
from potluck.server.turn import RunError

CHAT = Chat(name="chat", model="potluck", user="", tenant="")
THREAD = [
    {"type": "human", "content": "one"},
    {"type": "ai", "content": "first answer"},
]


@dataclass
class FakeThreads:
    """The threads API with at most one thread."""

    messages: list[dict[str, Any]] | None = None
    calls: list[str] = field(default_factory=list)
    metadata: Any = None

    async def create(
        self, *, metadata: Any = None, thread_id: str | None = None, if_exists: Any = None
    ) -> Any:
        self.calls.append("create")
        assert if_exists == "do_nothing"
        assert thread_id == CHAT.thread_id
        self.metadata = metadata
        return {"created_at": "1", "updated_at": "1" if self.messages is None else "2"}

    async def get_state(self, thread_id: str) -> Any:
        self.calls.append("get_state")
        assert thread_id == CHAT.thread_id
        if self.messages is None:
            answer = httpx.Response(404, request=httpx.Request("GET", "http://test"))
            raise NotFoundError("no such thread", response=answer, body=None)
        return {"values": {"messages": self.messages}}


def messages(*texts: str) -> list[Message]:
    """The user and the assistant in turns."""
    roles = ["user", "assistant"]
    said = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return TypeAdapter(list[Message]).validate_python(said)


def texts(sent: Any) -> list[str]:
    return [message["content"] for message in sent]


async def test_without_a_chat_everything_is_sent_and_nothing_asked() -> None:
    threads = FakeThreads()
    sent = await input_for(threads, None, messages("one", "answer", "two"))
    assert texts(sent) == ["one", "answer", "two"]
    assert threads.calls == []


async def test_the_first_turn_makes_the_thread_in_one_round_trip() -> None:
    threads = FakeThreads()
    assert texts(await input_for(threads, CHAT, messages("one"))) == ["one"]
    assert threads.calls == ["create"]
    assert threads.metadata == {"source": "openai", "chat_id": "chat", "model": "potluck"}


async def test_the_next_turn_sends_only_what_is_new_in_one_round_trip() -> None:
    threads = FakeThreads(THREAD)
    assert texts(await input_for(threads, CHAT, messages("one", "first answer", "two"))) == ["two"]
    assert threads.calls == ["get_state"]


@pytest.mark.parametrize(
    "said",
    [
        ["one edited"],
        ["one"],
        ["one", "edited answer", "two"],
        ["one", "first answer", "two", "second answer", "three"],
    ],
)
async def test_another_history_takes_the_place_of_the_threads(said: list[str]) -> None:
    sent = await input_for(FakeThreads(THREAD), CHAT, messages(*said))
    assert sent[0] == REMOVE_ALL
    assert texts(sent[1:]) == said


async def test_a_history_that_no_thread_knows_is_sent_whole() -> None:
    threads = FakeThreads()
    sent = await input_for(threads, CHAT, messages("one", "first answer", "two"))
    assert texts(sent) == ["one", "first answer", "two"]
    assert threads.calls == ["get_state", "create"]


async def test_tool_traffic_of_the_request_is_kept_and_nothing_else_added() -> None:
    arguments = {"name": "f", "arguments": '{"x": 1}'}
    said = TypeAdapter(list[Message]).validate_python(
        [
            {"role": "user", "content": "one"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": arguments}],
            },
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ]
    )
    call = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
    assert await input_for(FakeThreads(), None, said) == [
        {"type": "human", "content": "one"},
        {"type": "ai", "content": "", "tool_calls": [call]},
        {"type": "tool", "content": "r", "tool_call_id": "c"},
    ]


async def test_an_unfinished_answer_is_to_be_continued() -> None:
    sent = await input_for(FakeThreads(THREAD), CHAT, messages("one", "first ans"))
    assert sent[0] == REMOVE_ALL
    assert texts(sent[1:]) == ["one", "first ans", CONTINUE]


async def test_says_when_the_server_cannot_be_reached() -> None:
    class Down(FakeThreads):
        async def get_state(self, thread_id: str) -> Any:
            raise httpx.ConnectError(thread_id)

    with pytest.raises(RunError) as caught:
        await input_for(Down(), CHAT, messages("one", "answer", "two"))
    assert caught.value.status == 503
