from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError
from pydantic import TypeAdapter

from potluck.server.approvals import approved, rejected
from potluck.server.openai.caller import Chat
from potluck.server.openai.catching_up import KEY, Shown
from potluck.server.openai.conversation import REMOVE_ALL, Opening, opening_for
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
    status: str = "idle"
    interrupts: list[dict[str, Any]] = field(default_factory=list)

    async def get(self, thread_id: str) -> Any:
        self.calls.append("get")
        assert thread_id == CHAT.thread_id
        return {"metadata": self.metadata, "status": self.status}

    async def create(
        self, *, metadata: Any = None, thread_id: str | None = None, if_exists: Any = None
    ) -> Any:
        self.calls.append("create")
        assert if_exists == "do_nothing"
        assert thread_id == CHAT.thread_id
        if self.messages is None:
            self.metadata = metadata
        return {"created_at": "1", "updated_at": "1" if self.messages is None else "2"}

    async def get_state(self, thread_id: str) -> Any:
        self.calls.append("get_state")
        assert thread_id == CHAT.thread_id
        if self.messages is None:
            answer = httpx.Response(404, request=httpx.Request("GET", "http://test"))
            raise NotFoundError("no such thread", response=answer, body=None)
        return {"values": {"messages": self.messages}, "interrupts": self.interrupts}


def messages(*texts: str) -> list[Message]:
    """The user and the assistant in turns."""
    roles = ["user", "assistant"]
    said = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return TypeAdapter(list[Message]).validate_python(said)


def texts(sent: Any) -> list[str]:
    return [message["content"] for message in sent]


async def input_for(threads: Any, chat: Chat | None, said: list[Message]) -> Any:
    return (await opening_for(threads, chat, said)).messages


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


NOTICE = "The quota of every model is used up. The work goes on by itself in 5 min."
ASKED = {"type": "human", "id": "h1", "content": "one"}
LATE = {"type": "ai", "id": "a1", "content": "late answer"}


def noticed(*thread: dict[str, Any], status: str = "idle") -> FakeThreads:
    """A thread whose client was told, after its first question, that the answer comes later."""
    shown = Shown.of(messages("one"), NOTICE, [ASKED])
    kept = {"source": "openai", **shown.metadata}
    return FakeThreads(list(thread), metadata=kept, status=status)


async def test_a_notice_is_no_edit_and_the_answer_that_came_since_is_told() -> None:
    opening = await opening_for(noticed(ASKED, LATE), CHAT, messages("one", NOTICE, "two"))
    assert texts(opening.messages) == ["two"]
    assert opening.unseen == "late answer"
    assert opening.is_apart


def waiting(status: str = "interrupted") -> FakeThreads:
    """A thread that waits for approval, of which the client was told in these words."""
    threads = noticed(ASKED, status=status)
    request = {"name": "shell", "args": {}, "description": ""}
    parked = {"id": "p1", "value": {"type": "parked", "resume_at": "2026-11-21T00:00:00+00:00"}}
    threads.interrupts = [{"id": "i1", "value": {"action_requests": [request]}}, parked]
    return threads


@pytest.mark.parametrize(
    ("said", "answer"), [("yes", approved()), ("no", rejected()), ("why?", rejected("why?"))]
)
async def test_a_message_where_something_waits_for_approval_is_the_answer_to_that(
    said: str, answer: object
) -> None:
    opening = await opening_for(waiting(), CHAT, messages("one", NOTICE, said))
    assert opening == Opening([], is_apart=True, decisions={"i1": answer})


async def test_a_run_at_work_has_got_its_answers_already() -> None:
    opening = await opening_for(waiting("busy"), CHAT, messages("one", NOTICE, "yes"))
    assert opening.decisions == {}
    assert opening.is_busy


async def test_yes_under_another_history_approves_nothing() -> None:
    opening = await opening_for(waiting(), CHAT, messages("other", NOTICE, "yes"))
    assert opening.decisions == {}
    assert opening.messages[0] == REMOVE_ALL


async def test_a_message_to_a_parked_thread_comes_behind_its_question() -> None:
    threads = noticed(ASKED, status="interrupted")
    opening = await opening_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert texts(opening.messages) == ["two"]
    assert opening.unseen == ""


async def test_work_that_is_going_on_by_now_is_waited_for() -> None:
    threads = noticed(ASKED, status="busy")
    opening = await opening_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert opening.is_busy
    assert texts(opening.messages) == ["two"]


@pytest.mark.parametrize(
    ("thread", "status", "expected"),
    [
        ((ASKED, LATE), "idle", Opening([], "late answer", is_apart=True)),
        ((ASKED,), "interrupted", Opening([], is_busy=True, is_apart=True)),
    ],
)
async def test_the_same_question_again_is_not_asked_twice(
    thread: Any, status: str, expected: Opening
) -> None:
    assert await opening_for(noticed(*thread, status=status), CHAT, messages("one")) == expected


async def test_an_edited_question_is_an_edit_after_a_notice_too() -> None:
    opening = await opening_for(noticed(ASKED, LATE), CHAT, messages("one edited"))
    assert opening.messages[0] == REMOVE_ALL
    assert opening.unseen == ""


@pytest.mark.parametrize("kept", [None, {}, {KEY: "odd"}, {KEY: {"odd": 1}}])
async def test_odd_marks_on_a_thread_are_as_good_as_none(kept: Any) -> None:
    threads = FakeThreads([ASKED, LATE], metadata=kept)
    sent = await input_for(threads, CHAT, messages("one", NOTICE, "two"))
    assert sent[0] == REMOVE_ALL
