"""The agent's four ways through the graph, with each provider's real LangChain class."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage

from graph.agent import graph
from potluck.engine import Engine, use_engine
from potluck.providers.availability import statuses
from potluck.providers.catalog import Limits, Provider
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Chain
from potluck.quota.limiter import NoLimiter
from potluck.settings import Settings
from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

PROVIDERS = ["google_gemini", "groq", "together", "huggingface", "openrouter", "ollama"]
ACCEPTED = "Everything is done."


def now() -> datetime:
    return datetime.now(UTC)


def unlimited(provider: Provider) -> Provider:
    """The provider without its limits: a plan in a test asks faster than free tiers allow."""
    models = tuple(replace(model, limits=Limits()) for model in provider.models)
    return replace(provider, models=models, limits=Limits())


@pytest.fixture(params=PROVIDERS)
async def engine(request: Any, simulator: SimulatorServer, tmp_path: Path) -> Any:
    """An engine that knows one provider only."""
    simulator.script.clear()
    simulator.log.clear()
    settings = Settings(potluck_simulator=simulator.url, potluck_home=tmp_path)  # type: ignore[arg-type] # pydantic parses it
    whole = load_catalog(settings.potluck_config_dir)
    provider = unlimited(whole.providers[request.param])
    catalog = replace(whole, providers={provider.id: provider}, routes={})
    found = tuple(await statuses(catalog, settings))
    chain = Chain(catalog, found, NoLimiter(), clock=now)
    made = Engine(settings, catalog, found, chain)
    with use_engine(made):
        yield made
    await chain.aclose()


@pytest.fixture
def script(engine: Engine, simulator: SimulatorServer) -> Iterator[Any]:
    yield simulator.script
    failed = [exchange for exchange in simulator.log if exchange.status != 200]
    assert not failed, f"the provider refused {failed[0].path}: {failed[0].error}"


async def run(request: str) -> dict[str, Any]:
    return await graph.ainvoke({"messages": [HumanMessage(request)]})


async def test_triage_answers_at_once(script: Any, simulator: SimulatorServer) -> None:
    script.on(Reply(text="Hello there, friend."))
    state = await run("hi")
    assert state["messages"][-1].text == "Hello there, friend."
    assert len(simulator.log) == 1
    assert state["usage"]["calls"] == 1
    assert state["usage"]["input_tokens"] > 0


async def test_triage_calls_one_tool(script: Any, simulator: SimulatorServer) -> None:
    script.on(Reply.call("calculator", expression="17*23"), times=1)
    script.on(Reply(text="It is 391."), last_tool="calculator")
    state = await run("What is 17*23?")
    assert "391" in next(m for m in state["messages"] if isinstance(m, ToolMessage)).text
    assert state["messages"][-1].text == "It is 391."
    assert len(simulator.log) == 2


def script_a_plan(script: Any) -> None:
    script.on(Reply.call("make_plan", why="several steps"), tool="make_plan")
    script.on(
        Reply.call(
            "submit_plan",
            steps=[
                {"goal": "Add one and one", "kind": "act", "needs": [], "done_when": "a sum"},
                {"goal": "Add two and two", "kind": "act", "needs": [], "done_when": "a sum"},
                {"goal": "Compare them", "kind": "think", "needs": [1, 2], "done_when": "said"},
            ],
        ),
        tool="submit_plan",
    )
    script.on(Reply.call("calculator", expression="1+1"), text=r"this:\nAdd one and one", results=0)
    script.on(Reply.call("calculator", expression="2+2"), text=r"this:\nAdd two and two", results=0)
    script.on(Reply(text="the sum is 2"), text=r"this:\nAdd one and one", results=1)
    script.on(Reply(text="the sum is 4"), text=r"this:\nAdd two and two", results=1)
    script.on(Reply(text="4 is larger than 2"), text=r"this:\nCompare them")


async def test_planner_makes_three_steps_and_reflector_accepts(
    script: Any, simulator: SimulatorServer
) -> None:
    script.on(Reply(text=ACCEPTED), tool="send_back")
    script_a_plan(script)
    state = await run("Compare two sums step by step")
    assert [s["status"] for s in state["plan"]] == ["done", "done", "done"]
    assert state["plan"][2]["result"] == "4 is larger than 2"
    assert state["messages"][-1].text == ACCEPTED
    assert len(simulator.log) == 8


async def test_reflector_sends_back_once(script: Any) -> None:
    script.on(
        Reply.call("send_back", verdict="retry", reason="be exact", steps=[3], question=""),
        Reply(text=ACCEPTED),
        tool="send_back",
    )
    script.on(Reply(text="4 is larger by 2"), text="be exact")
    script_a_plan(script)
    state = await run("Compare two sums step by step")
    assert state["plan"][2]["result"] == "4 is larger by 2"
    assert state["messages"][-1].text == ACCEPTED
    assert state["lessons"] == ["be exact"]


async def test_answer_streams_once_and_is_marked_for_the_user(script: Any) -> None:
    script.on(Reply(text="Let me see."), times=1)
    shown = []
    async for chunk, metadata in graph.astream(
        {"messages": [HumanMessage("hi")]}, stream_mode="messages"
    ):
        if isinstance(chunk, AIMessageChunk) and chunk.text:
            assert metadata["audience"] == "user"
            assert metadata["langgraph_node"] == "triage"
            shown.append(chunk.text)
    assert "".join(shown) == "Let me see."
    assert len(shown) > 1
