"""A run keeps within its limits, and ends with the best answer that there is."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from graph.agent import build, graph
from nodes import clock

pytestmark = pytest.mark.usefixtures("engine")

TASK = "Do these things step by step, and then compare what came out"


def say(text: str, tokens: int = 10) -> AIMessage:
    counted: Any = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    return AIMessage(text, usage_metadata=counted)


def call(name: str, count: int = 1, **args: Any) -> AIMessage:
    made = say("")
    made.tool_calls = [
        {"name": name, "args": args, "id": uuid4().hex, "type": "tool_call"} for _ in range(count)
    ]
    return made


def plan(*goals: str) -> AIMessage:
    return call("make_plan", steps=[{"goal": goal} for goal in goals])


async def run(request: str = "do it", **context: Any) -> dict[str, Any]:
    return await graph.ainvoke({"messages": [HumanMessage(request)]}, context=context)


def busy(chain: Any) -> Any:
    """A model that never ends while it has tools."""

    def answer(asked: Any, _: Any) -> AIMessage:
        if not asked.tools:
            return say("All that I have.")
        return call("calculator", expression=f"1+{len(chain.calls)}")

    return answer


@pytest.mark.parametrize("most", [1, 2, 3, 7])
async def test_a_run_makes_no_more_calls_than_it_may(chain: Any, most: int) -> None:
    chain.script = [busy(chain)] * 30
    state = await run("Calculate on", max_calls=most)
    assert state["usage"]["calls"] == most
    assert state["left"]["calls"] == 0
    assert state["messages"][-1].text == "All that I have."


@pytest.mark.parametrize("most", range(2, 14))
async def test_a_plan_makes_no_more_calls_than_it_may(chain: Any, most: int) -> None:
    chain.script = [plan("Find aaa", "Find bbb", "Find ccc"), *[busy(chain)] * 30]
    state = await run(TASK, max_calls=most)
    assert state["usage"]["calls"] <= most
    assert state["messages"][-1].text == "All that I have."
    assert all(step["status"] in {"done", "failed"} for step in state["plan"])


async def test_what_was_not_done_is_told_to_who_answers(chain: Any) -> None:
    steps = [{"goal": "Find aaa"}, {"goal": "Find bbb", "needs": [1]}]
    chain.script = [call("make_plan", steps=steps), *[busy(chain)] * 30]
    state = await run(TASK, max_calls=6)
    told = str(chain.calls[-1][1][-1].text)
    assert "Step 1 (done): Find aaa\nResult: All that I have." in told
    assert "Step 2 (failed): Find bbb\nResult: The budget of the run was used up" in told
    assert "used up" in chain.prompt(-1)
    assert state["usage"]["calls"] == 6


async def test_tokens_end_a_run(chain: Any) -> None:
    chain.script = [busy(chain)] * 30
    state = await run("Calculate on", max_tokens=500)
    spent = state["usage"]["input_tokens"]
    assert spent <= 500
    assert state["messages"][-1].text == "All that I have."


async def test_time_ends_a_run_but_not_its_answer(
    chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10_000, 5))
    monkeypatch.setattr(clock, "_now_s", lambda: float(next(now)))
    chain.script = [busy(chain)] * 30
    state = await run("Calculate on", max_seconds=30)
    assert state["messages"][-1].text == "All that I have."
    assert state["usage"]["calls"] < 6
    assert state["left"]["seconds"] <= 0


async def test_tool_calls_end_too(chain: Any) -> None:
    chain.script = [call("current_time", 3), say("It is noon.")]
    state = await run("What time is it now?", max_tool_calls=2)
    told = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert [m.status for m in told] == ["success", "success", "error"]
    assert "used up" in told[2].text
    assert not chain.tool_names(1)
    assert state["messages"][-1].text == "It is noon."


async def test_a_model_is_told_when_the_end_is_near(chain: Any) -> None:
    chain.script = [busy(chain)] * 30
    await run("Calculate on", max_calls=8)
    told = ["has left" in chain.prompt(number) for number in range(8)]
    assert told == [False] * 4 + [True] * 3 + [False]
    assert "used up" in chain.prompt(7)


async def test_a_graph_that_has_few_steps_left_answers(chain: Any) -> None:
    chain.script = [busy(chain)] * 30
    state = await graph.ainvoke(
        {"messages": [HumanMessage("Calculate on")]}, {"recursion_limit": 14}
    )
    assert state["messages"][-1].text == "All that I have."


async def test_the_next_run_has_its_own_account(chain: Any) -> None:
    agent = build()
    agent.checkpointer = InMemorySaver()
    thread: Any = {"configurable": {"thread_id": "t"}}
    chain.script = [call("current_time"), say("noon"), say("one")]
    for request in ("What time is it now?", "and now?"):
        state = await agent.ainvoke(
            {"messages": [HumanMessage(request)]}, thread, context={"max_calls": 5}
        )
    assert state["left"]["calls"] == 4
    assert state["elapsed"]["seconds"] < 5
