"""What each door does when no model has quota left: wait for a while, or say when it goes on."""

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage
from langgraph_sdk.client import SyncLangGraphClient
from langserve import RemoteRunnable
from openai import AsyncOpenAI

from potluck.simulator.reply import Reply
from tests.replies import out_of_quota

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

WITHIN_S = 3.0
# Only that it goes on by itself: how soon is measured by benchmarks.quota
LATE_S = 15.0
BEYOND_S = 6.0
ALONE = "box/box"
WAIT_S = 30.0
CHAT = [sys.executable, "-m", "potluck", "chat"]


@pytest.fixture
async def client(quota_server: Any) -> AsyncIterator[AsyncOpenAI]:
    url = f"{quota_server.url}/v1"
    async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
def langgraph(
    quota_server: Any, connect: Callable[[str], SyncLangGraphClient]
) -> SyncLangGraphClient:
    return connect(quota_server.url)


def spent(server: Any, for_s: float) -> float:
    """The quota is used up for so long; returns when it is back, by `time.monotonic`."""
    server.simulator.script.on(out_of_quota(for_s), times=1)
    server.simulator.script.on(lambda request: Reply(text=f"Answer to: {request.last_user_text}"))
    return time.monotonic() + for_s


async def wait_in(condition: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(wait_for, condition)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


class Chat:
    """A chat of Open WebUI: the whole history with every turn."""

    def __init__(self, client: AsyncOpenAI, langgraph: SyncLangGraphClient) -> None:
        self._client = client
        self._langgraph = langgraph
        self._headers = {"X-OpenWebUI-Chat-Id": str(uuid.uuid4())}
        self.history: list[Any] = []
        self.thread_id = ""

    async def say(self, text: str | None, **more: Any) -> str:
        """The answer to a message, or once more to the last one."""
        if text is not None:
            self.history.append({"role": "user", "content": text})
        raw = await self._client.chat.completions.with_raw_response.create(
            model="potluck", messages=self.history, extra_headers=self._headers, **more
        )
        self.thread_id = raw.headers["x-potluck-thread-id"]
        answer = str(raw.parse().choices[0].message.content)
        self.history.append({"role": "assistant", "content": answer})
        return answer

    def thread(self) -> list[tuple[str, str]]:
        state: Any = self._langgraph.threads.get_state(self.thread_id)
        return [(m["type"], m["content"]) for m in state["values"]["messages"]]

    def status(self) -> str:
        return str(self._langgraph.threads.get(self.thread_id)["status"])


@pytest.fixture
def chat(client: AsyncOpenAI, langgraph: SyncLangGraphClient) -> Chat:
    return Chat(client, langgraph)


@pytest.mark.parametrize("headers", [{}, {"X-Chat-Id": "short wait"}], ids=["stateless", "chat"])
async def test_a_stream_stays_open_for_a_short_wait(
    client: AsyncOpenAI, quota_server: Any, headers: dict[str, str]
) -> None:
    back = spent(quota_server, WITHIN_S)
    stream = await client.chat.completions.create(
        model="potluck",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        extra_headers=headers,
    )
    deltas: list[Any] = [chunk.choices[0].delta async for chunk in stream]
    late_s = time.monotonic() - back
    thoughts = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert "Waiting until" in thoughts
    assert ALONE in thoughts
    assert "".join(delta.content or "" for delta in deltas) == "Answer to: hi"
    assert late_s < LATE_S
    assert len(quota_server.simulator.log) == 2


@pytest.mark.parametrize("model", ["potluck", "auto", ALONE])
async def test_a_plain_request_waits_as_well(
    client: AsyncOpenAI, quota_server: Any, model: str
) -> None:
    spent(quota_server, WITHIN_S)
    done = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hi"}]
    )
    assert done.choices[0].message.content == "Answer to: hi"


@pytest.mark.parametrize("model", ["potluck", "auto", ALONE])
async def test_who_cannot_pick_it_up_later_is_told_when_to_ask_again(
    client: AsyncOpenAI, quota_server: Any, model: str
) -> None:
    back = spent(quota_server, BEYOND_S)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hi"}]
        )
    assert 3 <= int(caught.value.response.headers["retry-after"]) <= 7
    await asyncio.sleep(max(0.0, back - time.monotonic()) + 0.1)


async def test_a_chat_gets_the_answer_that_came_meanwhile_first(
    chat: Chat, quota_server: Any
) -> None:
    spent(quota_server, BEYOND_S)
    notice = await chat.say("first")
    assert "goes on by itself in 1 min" in notice
    assert chat.status() == "interrupted"
    await wait_in(lambda: chat.status() == "idle")
    assert await chat.say("second") == "Answer to: first\n\n---\n\nAnswer to: second"
    assert await chat.say("third") == "Answer to: third"
    assert chat.thread() == [
        ("human", "first"),
        ("ai", "Answer to: first"),
        ("human", "second"),
        ("ai", "Answer to: second"),
        ("human", "third"),
        ("ai", "Answer to: third"),
    ]
    assert len(quota_server.simulator.log) == 4


async def test_the_same_question_again_is_not_asked_twice(chat: Chat, quota_server: Any) -> None:
    spent(quota_server, BEYOND_S)
    await chat.say("first")
    chat.history.pop()
    assert "goes on by itself" in await chat.say(None)
    await wait_in(lambda: chat.status() == "idle")
    chat.history.pop()
    assert await chat.say(None) == "Answer to: first"
    assert await chat.say("second") == "Answer to: second"
    assert len(quota_server.simulator.log) == 3


async def test_a_message_to_a_parked_chat_is_answered_with_what_waits(
    chat: Chat, quota_server: Any
) -> None:
    spent(quota_server, BEYOND_S)
    await chat.say("first")
    await asyncio.sleep(BEYOND_S - 3)
    # The simulator takes what a user said in a row for one request.
    assert await chat.say("second") == "Answer to: first\n\nsecond"
    kinds = [kind for kind, _ in chat.thread()]
    assert kinds == ["human", "human", "ai"]
    assert chat.status() == "idle"


async def test_a_client_that_leaves_while_it_waits_cancels(chat: Chat, quota_server: Any) -> None:
    back = spent(quota_server, WITHIN_S + 0.9)
    with pytest.raises(openai.APITimeoutError):
        await chat.say("first", timeout=1.5)
    chat.history.clear()
    (thread,) = await wait_in(
        lambda: chat._langgraph.threads.search(
            metadata={"chat_id": chat._headers["X-OpenWebUI-Chat-Id"]}, status="idle"
        )
    )
    chat.thread_id = thread["thread_id"]
    assert chat.thread()[-1] == ("ai", "Cancelled while waiting for quota.")
    await asyncio.sleep(max(0.0, back - time.monotonic()) + 0.5)
    assert len(quota_server.simulator.log) == 1


def test_langserve_waits_for_a_while(quota_server: Any) -> None:
    spent(quota_server, WITHIN_S)
    config: Any = {"configurable": {"thread_id": str(uuid.uuid4())}}
    agent: RemoteRunnable[Any, Any] = RemoteRunnable(f"{quota_server.url}/agent")
    output = agent.invoke("hi", config)
    assert output["content"] == "Answer to: hi"
    assert isinstance(output["messages"][-1], AIMessage)


@pytest.mark.parametrize(("is_kept", "status"), [(True, 503), (False, 429)])
def test_langserve_says_when_it_goes_on(quota_server: Any, is_kept: bool, status: int) -> None:
    thread_id = str(uuid.uuid4()) if is_kept else ""
    back = spent(quota_server, BEYOND_S)
    body = {"input": "hi", "config": {"configurable": {"thread_id": thread_id}}}
    response = httpx.post(f"{quota_server.url}/agent/invoke", json=body, timeout=30)
    assert response.status_code == status
    assert 3 <= int(response.headers["retry-after"]) <= 7
    detail = response.json()["detail"]
    assert detail["thread_id"] == (thread_id or None)
    assert detail["resume_at"].endswith("+00:00")
    time.sleep(max(0.0, back - time.monotonic()) + 1.5)


def test_a_stateless_run_waits_in_place(quota_server: Any, langgraph: SyncLangGraphClient) -> None:
    spent(quota_server, WITHIN_S)
    asked: Any = {"messages": [{"role": "user", "content": "hi"}]}
    values: Any = langgraph.runs.wait(None, "agent", input=asked)
    assert values["messages"][-1]["content"] == "Answer to: hi"
    assert httpx.get(f"{quota_server.url}/quota/parked").json() == {"parked": []}


def test_the_terminal_says_when_it_goes_on_and_waits(quota_server: Any) -> None:
    spent(quota_server, BEYOND_S)
    done = subprocess.run(
        [*CHAT, "hi"],
        env=quota_server.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "Answer to: hi\n"
    assert "The quota of every model that could answer is used up" in done.stderr
    assert "goes on at" in done.stderr


def test_leaving_the_terminal_leaves_the_work_to_the_server(
    quota_server: Any, langgraph: SyncLangGraphClient
) -> None:
    spent(quota_server, BEYOND_S)
    thread_id = str(uuid.uuid4())
    with on_terminal(quota_server, "hi", "--thread", thread_id) as (chat, read):
        wait_for(lambda: "Ctrl-C leaves" in read())
        chat.send_signal(signal.SIGINT)
        chat.wait(20)
        wait_for(lambda: "The work goes on by itself on the server." in read())
    wait_for(lambda: langgraph.threads.get(thread_id)["status"] == "idle")
    with on_terminal(quota_server, "--thread", thread_id) as (_, read):
        wait_for(lambda: "Answer to: hi" in read())


@contextmanager
def on_terminal(
    server: Any, *args: str
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """`potluck chat` on a terminal of its own, and what it has written so far."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    written = bytearray()

    def read() -> str:
        with contextlib.suppress(BlockingIOError, OSError):
            while piece := os.read(ours, 4096):
                written.extend(piece)
        return written.decode(errors="replace")

    process = subprocess.Popen(
        [*CHAT, *args],
        env=server.environment() | {"TERM": "xterm", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    try:
        yield process, read
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        os.close(ours)
        os.close(theirs)
