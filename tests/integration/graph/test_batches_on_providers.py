"""Steps that share a call, with each provider's real LangChain class."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graph.agent import graph
from potluck.engine import Engine, use_engine
from potluck.providers.availability import statuses
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Chain
from potluck.quota.limiter import NoLimiter
from potluck.settings import Settings
from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

PROVIDERS = ["google_gemini", "groq", "together", "huggingface", "openrouter", "ollama"]


@pytest.fixture(params=PROVIDERS)
async def asked(
    request: Any, simulator: SimulatorServer, tmp_path: Path
) -> AsyncIterator[SimulatorServer]:
    """The only provider that the agent has; it plans four steps of thinking."""
    simulator.script.clear()
    simulator.log.clear()
    settings = Settings(potluck_simulator=simulator.url, potluck_home=tmp_path)  # type: ignore[arg-type] # pydantic parses it
    whole = load_catalog(settings.potluck_config_dir)
    catalog = replace(whole, providers={request.param: whole.providers[request.param]}, routes={})
    found = tuple(await statuses(catalog, settings))
    chain = Chain(catalog, found, NoLimiter(), clock=lambda: datetime.now(UTC))
    goals = [{"goal": f"Weigh {name}", "kind": "think", "needs": []} for name in "ABCD"]
    simulator.script.on(Reply.call("make_plan", why="four things"), tool="make_plan")
    simulator.script.on(Reply.call("submit_plan", steps=goals), tool="submit_plan")
    simulator.script.on(Reply(text="All is weighed."), tool="send_back")
    simulator.script.on(Reply(text="D is light"), text=r"this:\nWeigh D")
    with use_engine(Engine(settings, catalog, found, chain)):
        yield simulator
    await chain.aclose()
    assert [exchange.status for exchange in simulator.log] == [200] * len(simulator.log)


async def run() -> dict[str, Any]:
    return await graph.ainvoke({"messages": [HumanMessage("Weigh four things, step by step")]})


def hand_in(**results: str) -> Reply:
    listed = [{"step": int(key[1:]), "result": text} for key, text in results.items()]
    return Reply.call("submit_results", results=listed)


async def test_three_steps_are_answered_with_one_request(asked: SimulatorServer) -> None:
    light = hand_in(s1="A is light", s2="B is light", s3="C is light")
    asked.script.on(light, tool="submit_results")
    state = await run()
    assert [s["result"] for s in state["plan"]] == [f"{name} is light" for name in "ABCD"]
    assert state["messages"][-1].text == "All is weighed."
    assert len(asked.log) == state["usage"]["calls"] == 5


async def test_what_is_missing_is_asked_for_alone(asked: SimulatorServer) -> None:
    asked.script.on(hand_in(s1="A is light", s3="C is light"), tool="submit_results")
    asked.script.on(Reply(text="B is heavy"), text=r"this:\nWeigh B")
    state = await run()
    results = [s["result"] for s in state["plan"]]
    assert results == ["A is light", "B is heavy", "C is light", "D is light"]
    assert len(asked.log) == 6


async def test_results_that_a_model_writes_as_text_are_read(asked: SimulatorServer) -> None:
    text = (
        '```json\n{"name": "submit_results", "arguments": {"results": [{"step": 1, "result": "A"},'
        ' {"step": 2, "result": "B"}, {"step": 3, "result": "C"}]}}\n```'
    )
    asked.script.on(Reply(text=text), tool="submit_results")
    state = await run()
    assert [s["result"] for s in state["plan"]] == ["A", "B", "C", "D is light"]
    assert len(asked.log) == 5
