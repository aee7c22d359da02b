"""LangGraph's development server serves the same langgraph.json, for Studio."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.integration.server.dev_server import dev_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NODES = {"triage", "planner", "executor", "model", "batch", "tools", "reflector"}


@pytest.fixture(scope="module")
def studio_url() -> Iterator[str]:
    """On a machine without keys."""
    with dev_server() as running:
        yield running


@pytest.fixture
def client(studio_url: str) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=studio_url) as connected:
        yield connected


def ask(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_the_graph_is_drawn_with_its_nodes(client: SyncLangGraphClient) -> None:
    assistant = client.assistants.search(graph_id="agent")[0]
    drawn = client.assistants.get_graph(assistant["assistant_id"])
    assert {node["id"] for node in drawn["nodes"]} == NODES | {"__start__", "__end__"}


def test_the_state_of_every_step_can_be_read(client: SyncLangGraphClient) -> None:
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=ask("Write a.txt with the text hi, then read it"))
    history = client.threads.get_history(thread_id, limit=50)
    assert {node for state in history for node in state["next"]} >= {"triage", "tools", "model"}
    values: Any = history[0]["values"]
    assert values["usage"]["tool_calls"] == 2
    assert [m["type"] for m in values["messages"]].count("tool") == 2


def test_time_travel_takes_another_way_from_an_earlier_step(client: SyncLangGraphClient) -> None:
    thread_id = client.threads.create()["thread_id"]
    client.runs.wait(thread_id, "agent", input=ask("What is 2+2?"))
    before = next(s for s in client.threads.get_history(thread_id) if s["next"] == ["triage"])
    values: Any = before["values"]
    question = {**values["messages"][0], "content": "What is 3+3?"}
    fork = client.threads.update_state(
        thread_id, {"messages": [question]}, checkpoint=before["checkpoint"], as_node="__start__"
    )
    forked: Any = client.runs.wait(
        thread_id, "agent", input=None, checkpoint_id=fork["checkpoint"]["checkpoint_id"]
    )
    assert "6" in forked["messages"][-1]["content"]
    assert "4" not in forked["messages"][-1]["content"].splitlines()[0]


def test_our_doors_open_there_too(studio_url: str) -> None:
    body = {"model": "potluck", "messages": [{"role": "user", "content": "What is 2+2?"}]}
    answer = httpx.post(f"{studio_url}/v1/chat/completions", json=body, timeout=30)
    assert "4" in answer.json()["choices"][0]["message"]["content"]
    invoked = httpx.post(f"{studio_url}/agent/invoke", json={"input": "What is 2+2?"}, timeout=30)
    assert "4" in str(invoked.json()["output"])


def test_an_edited_chat_is_a_branch_here_too(studio_url: str, client: SyncLangGraphClient) -> None:
    # The server keeps its threads in the project's folder from one start to the next.
    chat_id = str(uuid.uuid4())

    def say(*said: str) -> Any:
        messages = [
            {"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(said)
        ]
        return httpx.post(
            f"{studio_url}/v1/chat/completions",
            json={"model": "potluck", "messages": messages},
            headers={"X-OpenWebUI-Chat-Id": chat_id},
            timeout=60,
        )

    first = say("What is 2 + 3?")
    answer = first.json()["choices"][0]["message"]["content"]
    say("What is 2 + 3?", answer, "What is 4 + 5?")
    say("What is 2 + 3?", answer, "What is 6 + 7?")
    states: Any = client.threads.get_history(first.headers["x-potluck-thread-id"], limit=100)
    parents = {(one["parent_checkpoint"] or {}).get("checkpoint_id") for one in states}
    ends = [one for one in states if one["checkpoint"]["checkpoint_id"] not in parents]
    asked = [
        [m["content"] for m in one["values"]["messages"] if m["type"] == "human"] for one in ends
    ]
    assert asked == [["What is 2 + 3?", "What is 6 + 7?"], ["What is 2 + 3?", "What is 4 + 5?"]]


def test_notes_outlive_their_thread(client: SyncLangGraphClient) -> None:
    for text in ("Remember that I am vegetarian.", "What do you remember about me?"):
        thread_id = client.threads.create()["thread_id"]
        state: Any = client.runs.wait(thread_id, "agent", input=ask(text))
        assert "I am vegetarian" in state["messages"][-1]["content"]
    found = client.store.search_items(["users", "anonymous", "notes"])["items"]
    assert [item["value"]["text"] for item in found] == ["I am vegetarian"]
