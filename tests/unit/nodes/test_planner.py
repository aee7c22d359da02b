"""A plan that was made for the same request is not made again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable

from graph.agent import graph
from potluck.cache.responses import ResponseCache
from potluck.cache.store import CacheOptions
from potluck.engine import Engine
from potluck.providers.cached import Desk, cached
from potluck.providers.call import Call, options_of
from potluck.quota.calls import NoRecorder

TASK = "Do these things step by step, and then compare what came out"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def say(text: str, *calls: dict[str, Any]) -> AIMessage:
    signed = {"model_provider": "groq", "model_name": "m", "finish_reason": "stop"}
    counted: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    made = [{"id": str(n), "type": "tool_call", **call} for n, call in enumerate(calls)]
    return AIMessage(text, tool_calls=made, response_metadata=signed, usage_metadata=counted)


@pytest.mark.parametrize("draft", [False, True])
async def test_the_same_request_takes_its_plan_from_the_cache(
    engine: Engine, chain: Any, draft: bool
) -> None:
    cache = ResponseCache.open(
        None,
        CacheOptions(enabled=True, ttl=timedelta(hours=1), max_bytes=2**20),
        clock=lambda: NOW,
    )
    desk = Desk(cache, lambda: NOW, NoRecorder())

    class CachedChain:
        def runnable(self, call: Call) -> Runnable[Any, AIMessage]:
            return cached(lambda: chain.runnable(call), call, desk, options=options_of(call))

        def models(self) -> Any:
            return chain.models()

    engine.chain = CachedChain()  # type: ignore[assignment] # stands in
    steps = {"steps": [{"goal": "first"}, {"goal": "second", "needs": [1]}]}
    plan = [say("", {"name": "make_plan", "args": steps if draft else {}})]
    plan += [] if draft else [say("", {"name": "submit_plan", "args": steps})]
    chain.script = [*plan, say("one"), say("two"), say("The end.")]
    states = [
        await graph.ainvoke(
            {"messages": [HumanMessage(TASK)]}, {"configurable": {"thread_id": thread}}
        )
        for thread in ("a", "b")
    ]
    assert [state["usage"]["calls"] for state in states] == [4 if draft else 5, 0]
    assert states[1]["messages"][-1].text == "The end."
    await cache.aclose()
