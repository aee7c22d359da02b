from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from langgraph_sdk.schema import StreamPart

from potluck.quota.parking import ParkedRuns
from potluck.server.answer import ANEW
from potluck.server.openai.agent_reply import Way, agent_reply
from potluck.server.openai.caller import Chat
from potluck.server.openai.deltas import (
    Accepted,
    Cited,
    Delta,
    Finished,
    Pictured,
    Said,
    Status,
    Thought,
)
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import ChatRequest
from potluck.server.thread_queue import ThreadQueue
from potluck.server.turn import RunError

CHAT = Chat(name="chat", model="potluck")
BEGUN = StreamPart("metadata", {"run_id": "r"})
END = StreamPart("end", None)


class FakeLangGraph:
    """A LangGraph server whose runs consist of the given events."""

    def __init__(self, *events: StreamPart | Exception) -> None:
        self.events = events
        self.asked: dict[str, Any] = {}
        self.thread_id: str | None = None
        self.deleted: list[str] = []
        self.closed = False
        self.threads = SimpleNamespace(create=self._create, delete=self._delete)
        self.runs = SimpleNamespace(stream=self._stream, get=self._get)

    async def _create(self, **_: object) -> dict[str, str]:
        return {"created_at": "1", "updated_at": "1"}

    async def _delete(self, thread_id: str) -> None:
        self.deleted.append(thread_id)

    async def _get(self, *_: str) -> dict[str, str]:
        return {"status": "interrupted"}

    async def _stream(
        self,
        thread_id: str | None,
        graph: str,
        *,
        on_run_created: Callable[[Any], None],
        **asked: Any,
    ) -> AsyncGenerator[StreamPart]:
        assert graph == "agent"
        self.thread_id, self.asked = thread_id, asked
        on_run_created({"run_id": "r", "thread_id": thread_id or "ephemeral"})
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True


def piece(text: str, message_id: str = "m", audience: str = "user") -> StreamPart:
    message = {"type": "AIMessageChunk", "id": message_id, "content": text}
    return StreamPart("messages", [message, {"audience": audience, "langgraph_node": "triage"}])


def values(*messages: dict[str, Any], usage: tuple[int, int] = (0, 0)) -> StreamPart:
    used = {"input_tokens": usage[0], "output_tokens": usage[1]}
    return StreamPart("values", {"messages": list(messages), "usage": used})


def request(*messages: tuple[str, str]) -> ChatRequest:
    said = [{"role": role, "content": text} for role, text in messages or [("user", "hi")]]
    return ChatRequest.model_validate({"model": "potluck", "messages": said})


def reply(
    server: FakeLangGraph, *messages: tuple[str, str], chat: Chat | None = None, ref: str = ""
) -> AsyncGenerator[Delta]:
    client: Any = server
    way = Way(client, ThreadQueue(), ParkedRuns(), wait_limit_s=60.0)
    return agent_reply(request(*messages), way, chat=chat, ref=ref or None)


async def deltas(*events: StreamPart | Exception) -> list[Delta]:
    return [delta async for delta in reply(FakeLangGraph(*events))]


async def test_streams_the_answer_and_tells_the_runs_usage() -> None:
    assert await deltas(
        BEGUN,
        values({"type": "human", "content": "hi"}, usage=(9, 9)),
        piece("Hel"),
        piece("lo"),
        values({"type": "ai", "id": "m", "content": "Hello"}, usage=(5, 2)),
        END,
    ) == [Accepted(), Said("Hel"), Said("lo"), Finished("stop", 5, 2)]


async def test_shows_what_happens_as_thoughts_and_hides_inner_talk() -> None:
    step = StreamPart("custom", {"type": "step", "node": "triage", "text": "Reading"})
    found = await deltas(BEGUN, step, piece("secret", audience="agent"), piece("answer"), END)
    assert found == [
        Accepted(),
        Thought("Reading\n"),
        Status("Reading"),
        Said("answer"),
        Status("", is_done=True),
        Finished("stop", 0, 0),
    ]


async def test_pages_and_pictures_come_before_the_answer_is_finished() -> None:
    page = {"type": "source", "id": "1", "url": "https://e.com", "title": "E", "text": "about"}
    picture = {
        "type": "picture",
        "id": "1",
        "path": "images/a.png",
        "mime_type": "image/png",
        "base64": "cG5n",
    }
    found = await deltas(
        BEGUN, StreamPart("custom", page), StreamPart("custom", picture), piece("answer"), END
    )
    assert found == [
        Accepted(),
        Cited("https://e.com", "E", "about"),
        Thought("Picture: images/a.png\n"),
        Pictured("images/a.png", "image/png", "cG5n"),
        Said("answer"),
        Finished("stop", 0, 0),
    ]


async def test_a_run_that_fails_ends_its_status() -> None:
    step = StreamPart("custom", {"type": "step", "node": "triage", "text": "Reading"})
    stream = reply(FakeLangGraph(BEGUN, step, StreamPart("error", {"message": "went wrong"})))
    found: list[Delta] = []

    async def read() -> None:
        async for delta in stream:
            found.append(delta)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(RunError, match="went wrong"):
        await read()
    assert found[-1] == Status("It failed", is_done=True)


async def test_usage_tells_what_was_cached_and_thought() -> None:
    used = {"input_tokens": 5, "output_tokens": 2, "cached_tokens": 4, "reasoning_tokens": 1}
    state = StreamPart("values", {"messages": [], "usage": used})
    assert (await deltas(BEGUN, state, piece("a"), END))[-1] == Finished(
        "stop", 5, 2, cached_tokens=4, reasoning_tokens=1
    )


async def test_an_answer_that_nobody_streamed_comes_out_once() -> None:
    found = await deltas(BEGUN, values({"type": "ai", "id": "x", "content": "Which one?"}), END)
    assert found == [Accepted(), Said("Which one?"), Finished("stop", 0, 0)]


async def test_a_second_message_begins_a_paragraph() -> None:
    found = await deltas(BEGUN, piece("Let me see.", "a"), piece("It is 4.", "b"), END)
    assert "".join(d.text for d in found if isinstance(d, Said)) == "Let me see.\n\nIt is 4."


async def test_instructions_and_the_named_model_go_into_the_context() -> None:
    server = FakeLangGraph(BEGUN, END)
    said = [("system", "be brief"), ("user", "hi")]
    async for _ in reply(server, *said, ref="groq/m"):
        pass
    given = {"model": "groq/m", "instructions": "be brief"}
    assert server.asked["context"] == {"when_out": "wait", "can_ask": False, **given}
    assert [m["content"] for m in server.asked["input"]["messages"]] == ["hi"]
    assert server.thread_id is None


async def test_a_chat_runs_on_its_thread() -> None:
    server = FakeLangGraph(BEGUN, END)
    async for _ in reply(server, chat=CHAT):
        pass
    assert server.thread_id == CHAT.thread_id


async def test_needs_something_to_answer() -> None:
    with pytest.raises(ApiError) as caught:
        await anext(reply(FakeLangGraph(), ("system", "be brief")))
    assert caught.value.param == "messages"


async def test_a_failed_run_is_an_error() -> None:
    with pytest.raises(RunError, match="went wrong"):
        await deltas(BEGUN, StreamPart("error", {"message": "went wrong"}))


async def test_leaving_early_closes_the_run_and_leaves_no_thread_behind() -> None:
    server = FakeLangGraph(BEGUN, piece("a"), piece("b"), END)
    async with aclosing(reply(server)) as stream:
        await anext(stream)
    assert server.closed
    assert server.deleted == ["ephemeral"]


async def test_leaving_early_keeps_the_chats_thread() -> None:
    server = FakeLangGraph(BEGUN, piece("a"), END)
    async with aclosing(reply(server, chat=CHAT)) as stream:
        await anext(stream)
    assert server.closed
    assert server.deleted == []


async def test_turns_of_one_chat_wait_for_each_other() -> None:
    client: Any = FakeLangGraph(BEGUN, END)
    queue = ThreadQueue(max_wait_s=0.01)
    async with queue.turn(CHAT.thread_id):
        way = Way(client, queue, ParkedRuns(), wait_limit_s=60.0)
        waiting = agent_reply(request(), way, chat=CHAT, ref=None)
        with pytest.raises(Exception, match="has not ended"):
            await anext(waiting)


async def test_an_answer_taken_over_by_another_server_is_said_once() -> None:
    again = [BEGUN, piece("Hello", "m2"), piece(" you", "m2"), END]
    found = await deltas(BEGUN, piece("Hel"), piece("lo"), *again)
    said = "".join(one.text for one in found if isinstance(one, Said))
    assert said == "Hello you"


async def test_an_answer_that_begins_anew_is_noted_with_its_thread() -> None:
    """What the client shows is not what the thread holds: the next turn must know it."""
    server = FakeLangGraph(BEGUN, piece("One"), BEGUN, piece("Two", "m2"), END)
    noted: list[Any] = []

    async def get(_: str) -> dict[str, Any]:
        return {"metadata": {}}

    async def update(_: str, *, metadata: Any) -> None:
        noted.append(metadata)

    server.threads.get, server.threads.update = get, update
    found = [delta async for delta in reply(server, chat=CHAT)]
    assert "".join(one.text for one in found if isinstance(one, Said)) == f"One{ANEW}Two"
    assert len(noted) == 1


async def test_a_run_that_is_gone_before_its_end_is_an_error() -> None:
    class Gone(FakeLangGraph):
        async def _get(self, *_: str) -> dict[str, str]:
            raise httpx.ReadError("gone")

    with pytest.raises(RunError) as caught:
        [delta async for delta in reply(Gone(BEGUN._replace(id="r_event_1"), piece("Hel")))]
    assert caught.value.status == 503
