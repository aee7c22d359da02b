"""The whole agent with no key at all: the graph, its tools, and the offline model."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from graph.agent import graph
from potluck.engine import Engine, use_engine
from potluck.providers.catalog import Catalog
from potluck.providers.chain import Chain
from potluck.quota.limiter import NoLimiter
from potluck.settings import Settings
from tools.workspace import Workspace


def now() -> datetime:
    return datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    catalog = Catalog({}, {})
    chain = Chain(catalog, (), NoLimiter(), clock=now)
    with use_engine(Engine(Settings(potluck_home=tmp_path), catalog, (), chain)):
        yield tmp_path


async def ask(request: str) -> tuple[list[str], str]:
    """The names of the tools that were called, and the answer."""
    config = {"configurable": {"thread_id": "t1"}}
    state = await graph.ainvoke({"messages": [HumanMessage(request)]}, config)
    made = [
        call["name"] for m in state["messages"] if isinstance(m, AIMessage) for call in m.tool_calls
    ]
    return made, str(state["messages"][-1].text)


@pytest.mark.parametrize(
    ("request_text", "tools", "part"),
    [
        ("What is 17*23 + sqrt(2)?", ["calculator"], "= 392.414213562373"),
        ("What day is it in Tokyo?", ["current_time"], "in Tokyo (Asia/Tokyo, JST, UTC+09:00)"),
        ("List the files in my workspace", ["list_files"], "The workspace is empty."),
        (
            "Write hello.txt with the text hi, then read it back",
            ["write_file", "read_file"],
            "hello.txt:\n\nhi",
        ),
        ("read ../../etc/passwd", ["read_file"], "leads out of the workspace"),
        ("Tell me a joke", [], "This needs an LLM"),
    ],
)
async def test_basics_work_without_any_llm(
    home: Path, request_text: str, tools: list[str], part: str
) -> None:
    made, text = await ask(request_text)
    assert made == tools
    assert part in text
    assert "no LLM is connected" in text
    assert "aistudio.google.com/apikey" in text


async def test_files_land_in_the_workspace_of_the_thread(home: Path) -> None:
    await ask("write 'hi' to a.txt")
    assert Workspace.for_thread(home, "t1").read("a.txt") == b"hi"
    assert list(Workspace.for_thread(home, "t2").entries()) == []


async def test_the_answer_streams_word_by_word(home: Path) -> None:
    texts = [
        str(chunk.text)
        async for chunk, _ in graph.astream(
            {"messages": [HumanMessage("hello")]},
            {"configurable": {"thread_id": "t1"}},
            stream_mode="messages",
        )
        if isinstance(chunk, AIMessageChunk)
    ]
    assert len(texts) > 30
    assert "Without an LLM I can still do basics" in "".join(texts)
