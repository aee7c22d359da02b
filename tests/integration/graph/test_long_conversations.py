"""Conversations that outgrow a model, with the provider's real class and the simulator."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from graph.agent import build
from nodes.history import SUMMARY_PROMPT
from potluck.engine import Engine, use_engine
from potluck.providers.availability import statuses
from potluck.providers.catalog import Limits
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Chain
from potluck.quota.limiter import NoLimiter
from potluck.settings import Settings
from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CONTEXT = 8_192
TURNS = 200
MARK = SUMMARY_PROMPT.split("\n", 1)[0]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def engine(simulator: SimulatorServer, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine that knows one model, of a small context, without limits."""
    simulator.script.clear()
    simulator.log.clear()
    settings = Settings(potluck_simulator=simulator.url, potluck_home=tmp_path)  # type: ignore[arg-type] # pydantic parses it
    whole = load_catalog(settings.potluck_config_dir)
    provider = whole.providers["together"]
    model = replace(provider.models[0], context=CONTEXT, limits=Limits())
    provider = replace(provider, models=(model,), limits=Limits())
    catalog = replace(whole, providers={provider.id: provider}, routes={})
    found = tuple(await statuses(catalog, settings))
    chain = Chain(catalog, found, NoLimiter(), clock=now)
    made = Engine(settings, catalog, found, chain)
    with use_engine(made):
        yield made
    await chain.aclose()


def sent(simulator: SimulatorServer) -> list[dict[str, Any]]:
    return [exchange.request for exchange in simulator.log if exchange.status == 200]


def turn(number: int) -> list[Any]:
    said = f"Tell me more about thing {number}, as I said in part{number % 7}.md. " * 3
    return [HumanMessage(said), AIMessage("Fine, noted. " * 15)]


async def test_a_long_conversation_goes_on_with_a_small_model(
    engine: Engine, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text="Decided: the code word is heron."), text="User: Tell me")
    simulator.script.on(Reply(text="Here is more."))
    agent = build()
    agent.checkpointer = InMemorySaver()
    config: dict[str, Any] = {"configurable": {"thread_id": "t"}}
    messages = [message for number in range(TURNS) for message in turn(number)]
    first = {"messages": [*messages, HumanMessage("Which thing was the first of all?")]}

    state = await agent.ainvoke(first, config)

    assert state["messages"][-1].text == "Here is more."
    assert len(state["messages"]) == 2 * TURNS + 2
    assert state["usage"]["calls"] == 2
    assert "heron" in state["recap"]["text"]
    summary, answer = (exchange.body.decode() for exchange in simulator.log)
    assert MARK in summary
    assert len(summary) < 4 * CONTEXT
    assert "heron" in answer
    assert len(answer) < 4 * CONTEXT

    again = await agent.ainvoke({"messages": [HumanMessage("And the second one?")]}, config)

    assert again["usage"]["calls"] == 1
    assert "heron" in list(simulator.log)[-1].body.decode()


async def test_results_are_cleared_before_anything_else_and_stay_in_files(
    engine: Engine, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text="Here is more."))
    agent = build()
    agent.checkpointer = InMemorySaver()
    messages: list[Any] = []
    for number in range(6):
        call = {"name": "read_file", "args": {"path": f"f{number}.txt"}, "id": f"call{number}"}
        messages += [
            HumanMessage(f"Read f{number}.txt"),
            AIMessage("", tool_calls=[call]),
            ToolMessage(f"<{number}>" * 4_000, tool_call_id=f"call{number}", name="read_file"),
            AIMessage(f"It is full of {number}."),
        ]

    state = await agent.ainvoke(
        {"messages": [*messages, HumanMessage("What was the first number again?")]},
        {"configurable": {"thread_id": "t2"}},
    )

    assert state["messages"][-1].text == "Here is more."
    assert state["usage"]["calls"] == 1
    body = next(iter(simulator.log)).body.decode()
    assert "all of it is in tool_results/call0.txt" in body
    assert "It is full of 0." in body
    kept = engine.home / "workspaces" / "t2" / "tool_results" / "call0.txt"
    assert kept.read_text() == "<0>" * 4_000
    assert state["messages"][2].text == "<0>" * 4_000


async def test_a_conversation_of_nobodys_thread_is_cut_by_rule(
    engine: Engine, simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text="Here is more."))
    messages = [message for number in range(TURNS) for message in turn(number)]
    state = await build().ainvoke({"messages": [*messages, HumanMessage("Which was the first?")]})
    assert state["messages"][-1].text == "Here is more."
    assert state["usage"]["calls"] == 1
    body = next(iter(simulator.log)).body.decode()
    assert len(body) < 4 * CONTEXT
    assert "Which was the first?" in body
    assert "part3.md" in body
