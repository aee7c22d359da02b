"""The LangGraph API as scripts use it: threads, runs, streams, history; one conversation."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from potluck.simulator.reply import Delay, Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def text_of(message: dict[str, Any]) -> str:
    """A message's text: some models answer in blocks."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def ask(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


@pytest.fixture
async def client(server: Any) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as connected:
        yield connected


@pytest.fixture
async def thread_id(client: LangGraphClient) -> str:
    return str((await client.threads.create())["thread_id"])


async def test_streams_answer_steps_and_events(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="6*7"), results=0)
    server.simulator.script.on(Reply(text="The answer is 42."), last_tool="calculator")
    shown, nodes, events = [], [], []
    async for part in client.runs.stream(
        thread_id,
        "agent",
        input=ask("What is 6*7?"),
        stream_mode=["messages-tuple", "updates", "custom"],
    ):
        data: Any = part.data
        if part.event == "messages" and data[0]["type"] == "AIMessageChunk":
            shown.append((data[0]["content"], data[1]["audience"], data[1]["langgraph_node"]))
        elif part.event == "updates":
            nodes += list(data)
        elif part.event == "custom":
            events.append(data["type"])
    text = [piece for piece in shown if piece[0]]
    assert "".join(piece[0] for piece in text) == "The answer is 42."
    assert {piece[1:] for piece in text} == {("user", "model")}
    assert nodes == ["triage", "tools", "executor", "model"]
    assert [kind for kind in events if kind != "budget"] == [
        "step",
        "tool_call",
        "tool_result",
        "step",
        "answer_begun",
        "answer_ended",
    ]


async def test_history_shows_the_state_at_every_step(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="6*7"), results=0)
    server.simulator.script.on(Reply(text="42"), last_tool="calculator")
    await client.runs.wait(thread_id, "agent", input=ask("What is 6*7?"))
    history = await client.threads.get_history(thread_id)
    assert [list(state["next"]) for state in history] == [
        [], ["model"], ["executor"], ["tools"], ["triage"], ["__start__"],
    ]  # fmt: skip


async def test_a_chat_from_open_webui_is_a_thread_here(
    client: LangGraphClient, server: Any
) -> None:
    server.simulator.script.on(Reply(text="Nice to meet you."))
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{server.url}/v1/chat/completions",
            headers={"X-OpenWebUI-Chat-Id": "chat-for-the-thread-test"},
            json={"model": "potluck", **ask("I am Ann")},
            timeout=30,
        )
    assert answer.status_code == 200
    threads = await client.threads.search(limit=100)
    found = [t for t in threads if "chat-for-the-thread-test" in str(t["metadata"])]
    assert len(found) == 1
    state: Any = await client.threads.get_state(found[0]["thread_id"])
    assert [text_of(m) for m in state["values"]["messages"]] == ["I am Ann", "Nice to meet you."]


async def test_two_runs_on_one_thread_come_one_after_the_other(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    slow = Reply(text="first answer", delay=Delay(first_byte_s=0.5))
    server.simulator.script.on(slow, text="first question")
    server.simulator.script.on(Reply(text="second answer"), text="second question")
    await asyncio.gather(
        client.runs.wait(thread_id, "agent", input=ask("first question")),
        _later(client.runs.wait(thread_id, "agent", input=ask("second question"))),
    )
    state: Any = await client.threads.get_state(thread_id)
    assert [text_of(m) for m in state["values"]["messages"]] == [
        "first question", "first answer", "second question", "second answer",
    ]  # fmt: skip


async def test_cancelling_a_waiting_run_frees_the_thread(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    slow = Reply(text="first answer", delay=Delay(first_byte_s=1))
    server.simulator.script.on(slow, text="first question")
    first = await client.runs.create(thread_id, "agent", input=ask("first question"))
    second = await client.runs.create(thread_id, "agent", input=ask("second question"))
    await client.runs.cancel(thread_id, second["run_id"])
    await client.runs.join(thread_id, first["run_id"])
    statuses = {run["run_id"]: run["status"] for run in await client.runs.list(thread_id, limit=10)}
    assert statuses == {first["run_id"]: "success", second["run_id"]: "interrupted"}
    assert (await client.threads.get(thread_id))["status"] == "idle"


async def test_a_deleted_thread_takes_its_files_with_it(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    server.simulator.script.on(Reply.call("write_file", path="a.txt", text="x"), results=0)
    await client.runs.wait(thread_id, "agent", input=ask("write a.txt"))
    assert (server.home / "workspaces" / thread_id / "a.txt").read_text() == "x"
    await client.threads.delete(thread_id)
    assert not (server.home / "workspaces" / thread_id).exists()


async def test_stateless_runs_leave_nothing_behind(client: LangGraphClient, server: Any) -> None:
    def left() -> set[str]:
        return {path.name for path in (server.home / "workspaces").iterdir()}

    before = left()
    server.simulator.script.on(Reply.call("write_file", path="a.txt", text="x"), results=0)
    await client.runs.wait(None, "agent", input=ask("write a.txt"))
    assert left() == before


async def test_a_run_stopped_before_a_node_goes_on_without_input(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="6*7"), results=0)
    server.simulator.script.on(Reply(text="42"), last_tool="calculator")
    stopped: Any = await client.runs.wait(
        thread_id, "agent", input=ask("What is 6*7?"), interrupt_before=["tools"]
    )
    assert [m["type"] for m in stopped["messages"]] == ["human", "ai"]
    finished: Any = await client.runs.wait(thread_id, "agent", input=None)
    assert [m["type"] for m in finished["messages"]] == ["human", "ai", "tool", "ai"]


async def test_cancelling_a_queued_run_lets_nobody_overtake(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    slow = Reply(text="first answer", delay=Delay(first_byte_s=1))
    server.simulator.script.on(slow, text="first question")
    server.simulator.script.on(Reply(text="third answer"), text="third question")
    await client.runs.create(thread_id, "agent", input=ask("first question"))
    second = await client.runs.create(thread_id, "agent", input=ask("second question"))
    third = await client.runs.create(thread_id, "agent", input=ask("third question"))
    await client.runs.cancel(thread_id, second["run_id"])
    await client.runs.join(thread_id, third["run_id"])
    state: Any = await client.threads.get_state(thread_id)
    assert [text_of(m) for m in state["values"]["messages"]] == [
        "first question", "first answer", "third question", "third answer",
    ]  # fmt: skip


async def test_cancelling_a_run_stops_the_call_to_the_provider(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    server.simulator.script.on(Reply(text="late", delay=Delay(first_byte_s=30)))
    run = await client.runs.create(thread_id, "agent", input=ask("anything"))
    assert await asyncio.to_thread(server.simulator.log.wait_for, 1)
    await client.runs.cancel(thread_id, run["run_id"], wait=True)
    for _ in range(100):
        if server.simulator.log.last.outcome == "client_gone":
            break
        await asyncio.sleep(0.05)
    assert server.simulator.log.last.outcome == "client_gone"


@pytest.mark.parametrize(
    "run",
    [
        {"input": "hi"},
        {"input": {"messages": 5}},
        {"input": {"messages": [{"role": "robot", "content": "x"}]}},
        {"input": ask("hi"), "context": {"model": 5}},
        {"input": ask("hi"), "stream_mode": "zzz"},
        {},
    ],
)
@pytest.mark.parametrize("path", ["/runs/wait", "/runs/stream"])
async def test_wrong_shapes_are_refused_with_a_reason(
    server: Any, run: dict[str, Any], path: str
) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post(path, json={"assistant_id": "agent", **run})
    assert 400 <= answer.status_code < 500
    assert len(answer.text) > 20


async def test_an_unknown_assistant_is_not_found(server: Any) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.post("/runs/wait", json={"assistant_id": "nope", "input": ask("hi")})
    assert answer.status_code == 404
    assert "nope" in answer.text


async def _later(waiting: Any) -> Any:
    await asyncio.sleep(0.2)
    return await waiting


async def test_time_travel_takes_another_way_from_an_earlier_step(
    client: LangGraphClient, thread_id: str, server: Any
) -> None:
    server.simulator.script.on(Reply(text="Hello Ann"), text="Ann")
    server.simulator.script.on(Reply(text="Hello Bob"), text="Bob")
    await client.runs.wait(thread_id, "agent", input=ask("I am Ann"))
    history = await client.threads.get_history(thread_id)
    before = next(state for state in history if list(state["next"]) == ["triage"])
    values: Any = before["values"]
    renamed = {**values["messages"][0], "content": "I am Bob"}
    fork: Any = await client.threads.update_state(
        thread_id, {"messages": [renamed]}, checkpoint=before["checkpoint"], as_node="__start__"
    )
    forked: Any = await client.runs.wait(
        thread_id, "agent", input=None, checkpoint_id=fork["checkpoint"]["checkpoint_id"]
    )
    assert [text_of(m) for m in forked["messages"]] == ["I am Bob", "Hello Bob"]
    assert len(await client.threads.get_history(thread_id)) > len(history), "the first way stays"
