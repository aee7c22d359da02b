"""A streamed chat is whole, whatever dies beneath it: its text is the thread's message."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import psutil
import pytest

from benchmarks.replicas_stage import Cluster, Replica
from potluck.server.answer import ANEW
from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.replicas.conftest import WAIT_S, Connect, messages_of, wait_for

pytestmark = [pytest.mark.replicas, pytest.mark.integration, pytest.mark.timeout(240)]

WORDS = " ".join(f"word{number:02d}" for number in range(60))
SPOKEN = Reply(text=WORDS, delay=Delay(per_chunk_s=0.08))


@dataclass
class Chat:
    """One streamed chat: what its client has read of it."""

    thread_id: str = ""
    text: str = ""
    ended: str = ""
    error: object = None
    done: bool = False
    reading: Future[None] = field(default_factory=Future)

    def read(self, url: str) -> None:
        """Ask, and read to the end."""
        body = {
            "model": "potluck",
            "stream": True,
            "messages": [{"role": "user", "content": "Speak"}],
        }
        headers = {"X-Chat-Id": str(uuid.uuid4())}
        path = f"{url}/v1/chat/completions"
        with httpx.stream("POST", path, json=body, headers=headers, timeout=WAIT_S) as answer:
            assert answer.status_code == 200, answer.read()
            self.thread_id = answer.headers["X-Potluck-Thread-Id"]
            for line in answer.iter_lines():
                if line == "data: [DONE]":
                    self.done = True
                elif line.startswith("data: "):
                    self._take(json.loads(line.removeprefix("data: ")))

    def _take(self, chunk: dict[str, object]) -> None:
        self.error = chunk.get("error") or self.error
        for choice in chunk.get("choices") or ():  # type: ignore[attr-defined]
            self.text += choice["delta"].get("content") or ""
            self.ended = choice.get("finish_reason") or self.ended


Begin = Callable[[Sequence[Replica]], list[Chat]]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins a chat at each of the servers, which goes on beside the test; returns in its midst."""
    with ThreadPoolExecutor(12) as pool:

        def begun(doors: Sequence[Replica]) -> list[Chat]:
            chats = [Chat() for _ in doors]
            for chat, door in zip(chats, doors, strict=True):
                chat.reading = pool.submit(chat.read, door.url)
            wait_for(lambda: all(len(chat.text.split()) > 5 for chat in chats), 30)
            return chats

        yield begun


def assert_whole(chat: Chat, thread: list[dict[str, object]]) -> None:
    assert chat.error is None
    assert (chat.ended, chat.done) == ("stop", True)
    assert [message["type"] for message in thread] == ["human", "ai"]
    assert chat.text == thread[-1]["content"] == WORDS


def thread_of(servers: Cluster, connect: Connect, chat: Chat) -> list[dict[str, object]]:
    return messages_of(connect(servers.running[0].url), chat.thread_id)


def run_of(servers: Cluster, chat: Chat) -> str:
    query = "SELECT run_id FROM runs WHERE thread_id = %(thread)s"
    return str(wait_for(lambda: servers.read(query, {"thread": chat.thread_id}))[0][0])


def test_what_another_server_goes_on_with_is_read_once(
    servers: Cluster,
    upstream: SimulatorServer,
    connect: Connect,
    begin: Begin,
) -> None:
    upstream.script.on(SPOKEN)
    door, *_ = servers.replicas
    chats = begin([door] * 8)
    holders = [servers.at_work_on(run_of(servers, chat)) for chat in chats]
    victim = next(one for one in holders if one is not None and one is not door)

    victim.kill()

    for chat in chats:
        chat.reading.result(WAIT_S)
        assert_whole(chat, thread_of(servers, connect, chat))


def test_another_answer_begins_anew_in_plain_words(
    servers: Cluster,
    upstream: SimulatorServer,
    connect: Connect,
    begin: Begin,
) -> None:
    upstream.script.on(SPOKEN, times=8)
    upstream.script.on(Reply(text="Something else."))
    door, *_ = servers.replicas
    chats = begin([door] * 8)
    holders = [servers.at_work_on(run_of(servers, chat)) for chat in chats]
    victim = next(one for one in holders if one is not None and one is not door)

    victim.kill()

    for chat, holder in zip(chats, holders, strict=True):
        chat.reading.result(WAIT_S)
        thread = thread_of(servers, connect, chat)
        if holder is not victim:
            assert_whole(chat, thread)
            continue
        cut, mark, anew = chat.text.partition(ANEW)
        assert (mark, anew) == (ANEW, "Something else.")
        assert WORDS.startswith(cut)
        assert thread[-1]["content"] == "Something else."
        assert (chat.ended, chat.done) == ("stop", True)


@pytest.fixture(scope="module")
def redis_empty(shared_cluster: Cluster) -> Iterator[Callable[[float], None]]:
    """Kills Redis, and starts it again so much later, empty."""
    port = shared_cluster.redis.partition("127.0.0.1:")[2].split("/")[0]
    command = [
        "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
    ]  # fmt: skip
    started: list[subprocess.Popen[bytes]] = []

    def killed(away_s: float) -> None:
        [victim] = [
            one
            for one in psutil.Process().children()
            if one.name() == "redis-server" and any(port in word for word in one.cmdline())
        ]
        victim.kill()
        psutil.wait_procs([victim])
        time.sleep(away_s)
        folder = shared_cluster.folder
        started.append(subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL))

    yield killed
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.parametrize("away_s", [1.0, 8.0])
def test_a_redis_that_dies_and_forgets_all_cuts_no_stream(  # noqa: PLR0917 - fixtures
    servers: Cluster,
    upstream: SimulatorServer,
    connect: Connect,
    begin: Begin,
    redis_empty: Callable[[float], None],
    away_s: float,
) -> None:
    upstream.script.on(SPOKEN)
    chats = begin(servers.replicas * 2)

    redis_empty(away_s)

    for chat in chats:
        chat.reading.result(WAIT_S)
        assert_whole(chat, thread_of(servers, connect, chat))
