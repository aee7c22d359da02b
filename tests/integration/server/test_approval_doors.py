"""A call that needs a person's approval, at every door: what is asked, and what really ran."""

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import SyncLangGraphClient
from langserve import RemoteRunnable
from openai import AsyncOpenAI

from potluck.simulator.reply import Reply
from potluck.simulator.request import ToolCall
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer
from tests.replies import out_of_quota, write

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CHAT = [sys.executable, "-m", "potluck", "chat"]


@pytest.fixture
def server(asking_server: PotluckServer) -> PotluckServer:
    return asking_server


def scripted(server: PotluckServer, *calls: ToolCall, text: str = "") -> None:
    """The model makes these calls at once, and says `Done.` when they have results."""
    server.script.on(Reply(text=text, tool_calls=calls), Reply(text="Done."))


def files_of(server: PotluckServer, thread_id: str) -> dict[str, str]:
    folders = [path for path in server.home.rglob(thread_id) if path.is_dir()]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.name: path.read_text() for path in found}


def written(server: PotluckServer) -> set[str]:
    return {path.name for path in (server.home / "workspaces").rglob("*") if path.is_file()}


def results_given(server: PotluckServer) -> str:
    """The last request that a model got: what it was told of its calls."""
    assert server.simulator is not None
    return str(server.simulator.log.requests()[-1].messages)


class Thread:
    """A thread over the LangGraph API."""

    def __init__(self, client: SyncLangGraphClient) -> None:
        self.client = client
        self.id = str(client.threads.create()["thread_id"])

    def ask(self, text: str = "write") -> Any:
        asked: Any = {"messages": [{"role": "user", "content": text}]}
        return self.client.runs.wait(self.id, "agent", input=asked)

    def resume(self, value: Any) -> Any:
        return self.client.runs.wait(self.id, "agent", command={"resume": value})

    def interrupts(self) -> list[Any]:
        state: Any = self.client.threads.get_state(self.id)
        return [one for task in state["tasks"] for one in task["interrupts"]]

    def status(self) -> str:
        return str(self.client.threads.get(self.id)["status"])

    def last(self) -> str:
        state: Any = self.client.threads.get_state(self.id)
        return str(state["values"]["messages"][-1]["content"])


@pytest.fixture
def thread(langgraph: SyncLangGraphClient) -> Thread:
    return Thread(langgraph)


APPROVE: Any = {"decisions": [{"type": "approve"}]}
REJECT: Any = {"decisions": [{"type": "reject", "message": "not there"}]}
EDITED: Any = {"name": "write_file", "args": {"path": "b.txt", "text": "mine"}}
EDIT: Any = {"decisions": [{"type": "edit", "edited_action": EDITED}]}


@pytest.mark.parametrize(
    ("answer", "left"),
    [(APPROVE, {"a.txt": "new"}), (EDIT, {"b.txt": "mine"}), (REJECT, {})],
    ids=["approve", "edit", "reject"],
)
def test_the_langgraph_api_shows_what_waits_and_does_what_is_decided(
    server: PotluckServer, thread: Thread, answer: Any, left: dict[str, str]
) -> None:
    scripted(server, write("a.txt"))
    thread.ask()
    (interrupt,) = thread.interrupts()
    (request,) = interrupt["value"]["action_requests"]
    assert (request["name"], request["args"]) == ("write_file", {"path": "a.txt", "text": "new"})
    assert thread.client.threads.get(thread.id)["status"] == "interrupted"
    assert files_of(server, thread.id) == {}
    thread.resume(answer)
    assert files_of(server, thread.id) == left
    assert thread.last() == "Done."


def test_two_pending_calls_are_decided_by_id_and_a_resume_repeats_nothing(
    server: PotluckServer, thread: Thread
) -> None:
    log = write("log.txt", "once ", append=True)
    scripted(server, log, write("a.txt"), write("b.txt"))
    thread.ask()
    first, second = thread.interrupts()
    assert files_of(server, thread.id) == {"log.txt": "once "}
    thread.resume({first["id"]: APPROVE})
    assert [one["id"] for one in thread.interrupts()] == [second["id"]]
    assert files_of(server, thread.id) == {"log.txt": "once ", "a.txt": "new"}
    thread.resume({second["id"]: REJECT})
    assert files_of(server, thread.id) == {"log.txt": "once ", "a.txt": "new"}
    assert "not there" in results_given(server)


def test_a_stateless_run_is_refused_the_call_and_ends(
    server: PotluckServer, langgraph: SyncLangGraphClient
) -> None:
    scripted(server, write("stateless.txt"))
    asked: Any = {"messages": [{"role": "user", "content": "write"}]}
    values: Any = langgraph.runs.wait(None, "agent", input=asked)
    assert values["messages"][-1]["content"] == "Done."
    assert "nobody can be asked" in results_given(server)
    assert "stateless.txt" not in written(server)


def test_what_waits_is_there_after_the_server_was_killed(
    start_server: Callable[..., PotluckServer],
    provider: SimulatorServer,
    asking_config: str,
    connect: Callable[[str], SyncLangGraphClient],
) -> None:
    server = start_server(simulator=provider, env={"POTLUCK_CONFIG_DIR": asking_config})
    scripted(server, write("log.txt", "once ", append=True), write("a.txt"))
    thread = Thread(connect(server.url))
    thread.ask()
    server.kill()
    server.start()
    thread.client = connect(server.url)
    thread.resume(APPROVE)
    assert files_of(server, thread.id) == {"log.txt": "once ", "a.txt": "new"}
    assert thread.last() == "Done."


BACK_S = 2.5


def script_a_parked_step_beside_one_that_asks(server: PotluckServer) -> None:
    """While step 1 waits for a person, step 3 finds no quota for a while."""
    script = server.script
    script.on(Reply(text="All done."), tool="send_back")
    script.on(Reply.call("make_plan", why="several steps"), tool="make_plan")
    steps = [
        {"goal": goal, "kind": "act", "needs": needs, "done_when": ""}
        for goal, needs in (("Write it", []), ("Look around", []), ("Count them", [2]))
    ]
    script.on(Reply.call("submit_plan", steps=steps), tool="submit_plan")
    asks = Reply(tool_calls=(write("a.txt", "once ", append=True),))
    script.on(asks, text=r"this:\nWrite it", results=0)
    script.on(Reply(text="written"), text=r"this:\nWrite it", results=1)
    script.on(Reply(text="seen"), text=r"this:\nLook around")
    script.on(out_of_quota(BACK_S), text=r"this:\nCount them", times=1)
    script.on(Reply(text="two"), text=r"this:\nCount them")


def times_asked(server: PotluckServer, goal: str) -> int:
    assert server.simulator is not None
    requests = server.simulator.log.requests()
    return sum(f"this:\n{goal}" in request.last_user_text for request in requests)


def test_what_is_parked_goes_on_without_answering_for_the_person(
    server: PotluckServer, thread: Thread
) -> None:
    script_a_parked_step_beside_one_that_asks(server)
    thread.ask("Write and count")
    kinds = sorted("parked" if "type" in one["value"] else "ask" for one in thread.interrupts())
    assert kinds == ["ask", "parked"]
    deadline = time.monotonic() + 20
    while len(waiting := thread.interrupts()) > 1 or thread.status() == "busy":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert times_asked(server, "Count them") == 2
    assert files_of(server, thread.id) == {}
    thread.resume({waiting[0]["id"]: APPROVE})
    assert files_of(server, thread.id) == {"a.txt": "once "}
    assert thread.last() == "All done."


async def test_who_answers_while_another_step_is_parked_waits_for_that_too(
    server: PotluckServer, chat: "Chat"
) -> None:
    script_a_parked_step_beside_one_that_asks(server)
    assert "I would like to run `write_file`" in await chat.say("Write and count")
    assert await chat.say("yes") == "All done."
    assert files_of(server, chat.thread_id) == {"a.txt": "once "}
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/quota/parked")).json() == {"parked": []}


# OpenAI


class Chat:
    """A chat of Open WebUI: the whole history with every turn."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client
        self._headers = {"X-OpenWebUI-Chat-Id": str(uuid.uuid4())}
        self.history: list[Any] = []
        self.thread_id = ""
        self.finish_reason = ""

    async def say(self, text: str | None) -> str:
        if text is None:
            self.history.pop()
        else:
            self.history.append({"role": "user", "content": text})
        raw = await self._client.chat.completions.with_raw_response.create(
            model="potluck", messages=self.history, extra_headers=self._headers
        )
        self.thread_id = raw.headers["x-potluck-thread-id"]
        choice = raw.parse().choices[0]
        self.finish_reason = choice.finish_reason
        self.history.append({"role": "assistant", "content": choice.message.content})
        return str(choice.message.content)


@pytest.fixture
def chat(openai: AsyncOpenAI) -> Chat:
    return Chat(openai)


@pytest.mark.parametrize(
    ("answer", "left"),
    [("Yes, please.", {"a.txt": "new"}), ("はい", {"a.txt": "new"}), ("no", {}), ("hm, why?", {})],
)
async def test_a_chat_is_asked_in_words_and_answers_in_words(
    server: PotluckServer, chat: Chat, answer: str, left: dict[str, str]
) -> None:
    scripted(server, write("a.txt"), text="Let me write it.")
    question = await chat.say("write a")
    assert question.startswith("Let me write it.\n\nI would like to run `write_file` with:")
    assert "path: a.txt" in question
    assert chat.finish_reason == "stop"
    assert await chat.say(answer) == "Done."
    assert files_of(server, chat.thread_id) == left


async def test_the_chat_goes_on_with_its_thread_afterwards(
    server: PotluckServer, chat: Chat, langgraph: SyncLangGraphClient
) -> None:
    scripted(server, write("a.txt"))
    server.script.on(Reply(text="And this."))
    await chat.say("write a")
    await chat.say("yes")
    assert await chat.say("more") == "And this."
    assert await chat.say("even more") == "And this."
    state: Any = langgraph.threads.get_state(chat.thread_id)
    kinds = [message["type"] for message in state["values"]["messages"]]
    assert kinds == ["human", "ai", "tool", "ai", "human", "ai", "human", "ai"]


async def test_words_that_are_no_answer_steer_the_model(server: PotluckServer, chat: Chat) -> None:
    scripted(server, write("a.txt"))
    await chat.say("write a")
    await chat.say("no, use b.txt instead")
    assert "Go by what they said: no, use b.txt instead" in results_given(server)
    assert files_of(server, chat.thread_id) == {}


async def test_several_calls_are_numbered_and_answered_by_number(
    server: PotluckServer, chat: Chat
) -> None:
    scripted(server, write("a.txt"), write("b.txt"), write("log.txt", "once ", append=True))
    question = await chat.say("write both")
    assert "1. `write_file`" in question
    assert question.index("path: a.txt") < question.index("2. `write_file`")
    await chat.say("no 1, yes 2")
    assert files_of(server, chat.thread_id) == {"b.txt": "new", "log.txt": "once "}


async def test_the_same_question_again_asks_again_and_costs_nothing(
    server: PotluckServer, chat: Chat
) -> None:
    assert server.simulator is not None
    scripted(server, write("a.txt"))
    question = await chat.say("write a")
    assert await chat.say(None) == question
    assert len(server.simulator.log) == 1
    assert await chat.say("ok") == "Done."
    assert files_of(server, chat.thread_id) == {"a.txt": "new"}


async def test_an_edited_history_runs_nothing_of_what_waited(
    server: PotluckServer, chat: Chat
) -> None:
    scripted(server, write("a.txt"))
    await chat.say("write a")
    chat.history[0] = {"role": "user", "content": "something else"}
    await chat.say("yes")
    assert files_of(server, chat.thread_id) == {}


async def test_after_an_answer_the_model_may_ask_for_more(
    server: PotluckServer, chat: Chat
) -> None:
    again = Reply(tool_calls=(write("b.txt"),))
    server.script.on(Reply(tool_calls=(write("a.txt"),)), again, Reply(text="Done."))
    await chat.say("write a and then b")
    assert "path: b.txt" in await chat.say("yes")
    assert await chat.say("yes") == "Done."
    assert files_of(server, chat.thread_id) == {"a.txt": "new", "b.txt": "new"}


async def test_without_a_chat_nobody_is_asked_and_nothing_runs(
    server: PotluckServer, openai: AsyncOpenAI
) -> None:
    scripted(server, write("nowhere.txt"))
    done = await openai.chat.completions.create(
        model="potluck", messages=[{"role": "user", "content": "write"}]
    )
    assert done.choices[0].message.content == "Done."
    assert "nobody can be asked" in results_given(server)
    assert "nowhere.txt" not in written(server)


# LangServe


class Agent:
    """The LangServe door, on one thread."""

    def __init__(self, server: PotluckServer) -> None:
        self.thread_id = str(uuid.uuid4())
        self._url = f"{server.url}/agent"
        self.config: Any = {"configurable": {"thread_id": self.thread_id}}
        self.remote: RemoteRunnable[Any, Any] = RemoteRunnable(self._url)

    def invoke(self, given: Any) -> Any:
        return self.remote.invoke(given, self.config)

    def post(self, given: Any, config: Any = None, how: str = "invoke") -> httpx.Response:
        body = {"input": given, "config": self.config if config is None else config}
        return httpx.post(f"{self._url}/{how}", json=body, timeout=30)


@pytest.fixture
def agent(server: PotluckServer) -> Agent:
    return Agent(server)


def test_langserve_tells_what_waits_and_takes_decisions_by_id(
    server: PotluckServer, agent: Agent
) -> None:
    scripted(server, write("a.txt"), write("b.txt"))
    output = agent.invoke("write both")
    first, second = output["approvals"]
    assert (first["name"], first["args"]) == ("write_file", {"path": "a.txt", "text": "new"})
    assert "ask" in first["description"]
    edited = {"type": "edit", "edited_action": {"args": {"path": "c.txt", "text": "mine"}}}
    decisions = {first["id"]: {"type": "approve"}, second["id"]: edited}
    output = agent.invoke({"decisions": decisions})
    assert output["content"] == "Done."
    assert output["approvals"] == []
    assert files_of(server, agent.thread_id) == {"a.txt": "new", "c.txt": "mine"}


def test_langserve_takes_decisions_in_order(server: PotluckServer, agent: Agent) -> None:
    scripted(server, write("a.txt"), write("b.txt"))
    agent.invoke("write both")
    reject = {"type": "reject", "message": "not a"}
    agent.invoke({"decisions": [reject, {"type": "approve"}]})
    assert files_of(server, agent.thread_id) == {"b.txt": "new"}
    assert "not a" in results_given(server)


def test_langserve_streams_both_halves(server: PotluckServer, agent: Agent) -> None:
    scripted(server, write("a.txt"))
    chunks = list(agent.remote.stream("write", agent.config))
    assert [one["name"] for one in chunks[-1]["approvals"]] == ["write_file"]
    chunks = list(agent.remote.stream({"decisions": [{"type": "approve"}]}, agent.config))
    assert "".join(chunk["content"] for chunk in chunks) == "Done."
    assert files_of(server, agent.thread_id) == {"a.txt": "new"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"decisions": []}, "is empty"),
        ({"decisions": [{"type": "maybe"}]}, "'approve', 'edit', 'reject'"),
        ({"decisions": "approve"}, "list"),
        ({"decisions": [{"type": "approve", "edited_action": EDITED}]}, "Extra inputs"),
        ({"decisions": [{"type": "edit"}]}, "edited_action"),
        ({"decisions": [{"type": "approve"}], "messages": "hi"}, "stand alone"),
        ({"decisions": [{"type": "approve"}] * 2}, "2 decisions for 1 approvals"),
        ({"decisions": {"other": {"type": "approve"}}}, "No approval 'other'"),
    ],
)
def test_langserve_refuses_bad_decisions_and_runs_nothing(
    server: PotluckServer, agent: Agent, given: Any, words: str
) -> None:
    scripted(server, write("a.txt"))
    agent.invoke("write")
    refused = agent.post(given)
    assert refused.status_code == 422
    assert words in json.dumps(refused.json(), ensure_ascii=False)
    assert files_of(server, agent.thread_id) == {}
    agent.invoke({"decisions": [{"type": "approve"}]})
    assert files_of(server, agent.thread_id) == {"a.txt": "new"}


def test_langserve_refuses_decisions_where_nothing_waits(
    server: PotluckServer, agent: Agent
) -> None:
    decisions = {"decisions": [{"type": "approve"}]}
    refused = agent.post(decisions, config={})
    assert refused.status_code == 422
    assert "thread_id" in refused.text
    refused = agent.post(decisions)
    assert refused.status_code == 422
    assert "Nothing waits" in refused.text
    streamed = agent.post(decisions, how="stream")
    assert '"status_code": 422' in streamed.text


# The terminal


def potluck_chat(
    server: PotluckServer, *args: str, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHAT, *args],
        env=server.environment(),
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_terminal_the_chat_says_what_waits_and_a_message_answers(
    server: PotluckServer,
) -> None:
    thread_id = str(uuid.uuid4())
    scripted(server, write("a.txt", "one\ntwo"))
    asked = potluck_chat(server, "write a", "--thread", thread_id)
    assert asked.returncode == 4
    assert "? write_file: " in asked.stderr
    assert "        one\n        two\n" in asked.stderr
    assert f"potluck chat --thread {thread_id}" in asked.stderr
    assert files_of(server, thread_id) == {}
    done = potluck_chat(server, "yes", "--thread", thread_id)
    assert (done.returncode, done.stdout) == (0, "Done.\n")
    assert "Approved: write_file." in done.stderr
    assert files_of(server, thread_id) == {"a.txt": "one\ntwo"}


def test_on_a_terminal_each_call_is_approved_edited_or_rejected(server: PotluckServer) -> None:
    calls = (write("a.txt"), write("b.txt"), write("c.txt"))
    server.script.on(Reply(tool_calls=calls), Reply(text="Well done."))
    thread_id = str(uuid.uuid4())
    with on_terminal(server, "write three", "--thread", thread_id) as (process, expect):
        expect("write_file (1 of 3)", "[y]es, [n]o, [e]dit, [s]ame from now on> ", answer="y")
        expect("write_file (2 of 3)", "[s]ame from now on> ", answer="e")
        expect("arguments as JSON", answer='{"path": "d.txt", "text": "mine"}')
        expect("write_file (3 of 3)", "[s]ame from now on> ", answer="n")
        expect("what shall be done instead", answer="leave c alone")
        expect("Well done.")
        assert process.wait(20) == 0
    assert files_of(server, thread_id) == {"a.txt": "new", "d.txt": "mine"}
    assert "Go by what they said: leave c alone" in results_given(server)


def test_a_thread_that_was_left_asks_when_it_is_taken_up_again(server: PotluckServer) -> None:
    scripted(server, write("a.txt"))
    thread_id = str(uuid.uuid4())
    with on_terminal(server, "write", "--thread", thread_id) as (process, expect):
        expect("[s]ame from now on> ", answer="\x04")
        expect("nothing was run")
        assert process.wait(20) == 4
    with on_terminal(server, "--thread", thread_id) as (process, expect):
        expect("? write_file: ", "[s]ame from now on> ", answer="a")
        expect("Done.", "you> ", answer="/exit")
        assert process.wait(20) == 0
    assert files_of(server, thread_id) == {"a.txt": "new"}


class Expect:
    """Waits for what a program writes on its terminal, and types answers."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._written = ""

    def __call__(self, *texts: str, answer: str | None = None) -> None:
        """See each text after the one before it, then type the answer."""
        deadline = time.monotonic() + 30
        for text in texts:
            while text not in self._written:
                assert time.monotonic() < deadline, self._written
                if select.select([self._terminal], [], [], 0.1)[0]:
                    self._read()
            self._written = self._written.partition(text)[2]
        if answer is not None:
            line = answer if answer == "\x04" else f"{answer}\n"
            os.write(self._terminal, line.encode())

    def _read(self) -> None:
        # Linux says so when the program has closed its end.
        with contextlib.suppress(OSError):
            self._written += os.read(self._terminal, 4096).decode(errors="replace")


@contextmanager
def on_terminal(
    server: PotluckServer, *args: str
) -> Iterator[tuple[subprocess.Popen[bytes], Expect]]:
    """`potluck chat` on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*CHAT, *args],
        env=server.environment() | {"TERM": "dumb", "EDITOR": "", "VISUAL": ""},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, Expect(ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)
        os.close(ours)
