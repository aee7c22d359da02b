"""A provider that dies in mid-sentence is not noticed: not at any door."""

import json
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langserve import RemoteRunnable

from potluck.server.turn import text_of
from potluck.simulator.reply import CutKind, Reply
from potluck.simulator.request import ModelRequest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

TEXT = (
    "The harbour of Genoa lies in a wide bay that opens to the south. In the twelfth century its "
    "merchants traded with Acre, Alexandria and the Black Sea, and the lighthouse that they built, "
    "the Lanterna, still stands where the old mole begins. Whoever came by sea saw it first."
)
CUTS: list[CutKind] = ["drop", "end", "error"]


@pytest.fixture(params=CUTS)
def cutting(request: Any, troubled_server: Any) -> Any:
    """The first model asked dies in mid-sentence; the next one goes on where it stopped."""
    script = troubled_server.simulator.script
    script.on(Reply(text=TEXT, cut_after=20, cut=request.param), times=1)
    script.on(continued)
    return troubled_server


def continued(request: ModelRequest) -> Reply:
    said = next((m.text for m in reversed(request.messages) if m.role == "assistant"), "")
    assert TEXT.startswith(said)
    return Reply(text=TEXT[len(said) :] if said else TEXT)


def was_continued(server: Any) -> bool:
    first, second = server.simulator.log.exchanges()
    return first.outcome != "answered" and second.outcome == "answered"


def test_openai_door(cutting: Any) -> None:
    body = {
        "model": "potluck",
        "stream": True,
        "messages": [{"role": "user", "content": "Tell me about the harbour of Genoa."}],
    }
    text, finished = "", []
    with httpx.stream("POST", f"{cutting.url}/v1/chat/completions", json=body, timeout=30) as sse:
        for line in sse.iter_lines():
            if not line.startswith("data: {"):
                continue
            (choice,) = json.loads(line.removeprefix("data: "))["choices"]
            text += choice["delta"].get("content") or ""
            finished.append(choice["finish_reason"])
    assert text == TEXT
    assert [reason for reason in finished if reason] == ["stop"]
    assert was_continued(cutting)


def test_langserve_door(cutting: Any) -> None:
    pieces = RemoteRunnable(f"{cutting.url}/agent").stream("Tell me about the harbour of Genoa.")
    whole: Any = None
    for piece in pieces:
        whole = piece if whole is None else whole + piece
    assert dict(whole)["content"] == TEXT
    assert was_continued(cutting)


def test_graphs_own_stream_and_the_thread(cutting: Any) -> None:
    question = {"messages": [{"role": "user", "content": "Tell me about the harbour of Genoa."}]}
    with get_sync_client(url=cutting.url) as client:
        thread_id = client.threads.create()["thread_id"]
        shown, ids = "", set()
        for part in client.runs.stream(
            thread_id, "agent", input=question, stream_mode=["messages-tuple"]
        ):
            data: Any = part.data
            if part.event == "messages" and data[0]["type"] == "AIMessageChunk":
                shown += text_of(data[0])
                ids.add(data[0]["id"])
        state: Any = client.threads.get_state(thread_id)
    assert shown == TEXT
    assert len(ids) == 1, "one message, whoever wrote it"
    assert [text_of(m) for m in state["values"]["messages"]][1:] == [TEXT]
    assert was_continued(cutting)
