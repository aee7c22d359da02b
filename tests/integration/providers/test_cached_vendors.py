"""Answers of every vendor's real class are kept, and its API takes them back when given again."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from potluck.cache.responses import ResponseCache
from potluck.cache.store import CacheOptions
from potluck.providers.cached import Desk, cached
from potluck.providers.call import Call, options_of
from potluck.providers.replay import is_cached
from potluck.quota.calls import NoRecorder
from potluck.simulator.reply import Reply
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration


@tool
def calculator(expression: str) -> str:
    """Calculate."""
    return expression


@pytest.fixture
def ask(make_chain: Callable[..., Any], vendor: str) -> Callable[..., Any]:
    """Asks one vendor behind a cache, whole or streamed."""

    def now() -> datetime:
        return datetime.now(UTC)

    desk = Desk(ResponseCache.open(None, CacheOptions(), clock=now), now, NoRecorder())
    chain = make_chain([vendor])

    async def ask(asked: Any, *, streamed: bool, tools: Any = ()) -> AIMessage:
        call = Call(tools=tools)
        runnable = cached(lambda: chain.runnable(call), call, desk, options=options_of(call))
        if not streamed:
            return await runnable.ainvoke(asked)
        chunks: list[Any] = [chunk async for chunk in runnable.astream(asked)]
        return chunks[0] + chunks[1:]

    return ask


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_second_time_no_request_is_made(
    ask: Callable[..., Any], simulator: SimulatorServer, *, streamed: bool
) -> None:
    simulator.script.on(Reply(text="Genoa lies by the sea."))
    first, second = [await ask("Where is Genoa?", streamed=streamed) for _ in range(2)]
    assert first.text == second.text == "Genoa lies by the sea."
    assert is_cached(second)
    assert len(simulator.log) == 1
    assert second.response_metadata["model_name"] == first.response_metadata["model_name"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_calls_given_again_fit_into_the_conversation(
    ask: Callable[..., Any], simulator: SimulatorServer, *, streamed: bool
) -> None:
    simulator.script.on(Reply.call("calculator", expression="17*23"), results=0)
    simulator.script.on(Reply(text="It is 391."), results=1)
    asked = [HumanMessage("17*23?")]
    for _ in range(2):
        called = await ask(asked, streamed=streamed, tools=[calculator])
        (made,) = called.tool_calls
        assert made["args"] == {"expression": "17*23"}
    assert is_cached(called)
    result = ToolMessage("391", tool_call_id=made["id"])
    answer = await ask([*asked, called, result], streamed=streamed, tools=[calculator])
    assert answer.text == "It is 391."
    assert [exchange.status for exchange in simulator.log] == [200, 200]


async def test_a_cut_answer_is_asked_for_again(
    ask: Callable[..., Any], simulator: SimulatorServer
) -> None:
    simulator.script.on(Reply(text="Genoa lies by", finish_reason="length"))
    for _ in range(2):
        assert not is_cached(await ask("Where is Genoa?", streamed=True))
    assert len(simulator.log) == 2
