"""Steps that need only thinking share a call; what it leaves out is done alone."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from graph.agent import graph
from potluck.engine import Engine, use_engine
from potluck.providers.catalog import Optimization

MANY = 20


def say(text: str) -> AIMessage:
    counted = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    signed = {"model_provider": "groq", "model_name": "m"}
    return AIMessage(text, usage_metadata=counted, response_metadata=signed)


def call(name: str, **args: Any) -> AIMessage:
    made = say("")
    made.tool_calls = [{"name": name, "args": args, "id": uuid4().hex, "type": "tool_call"}]
    return made


def plan(*steps: dict[str, Any]) -> list[AIMessage]:
    return [call("make_plan", why="x"), call("submit_plan", steps=list(steps))]


def think(goal: str, *needs: int) -> dict[str, Any]:
    return {"goal": goal, "kind": "think", "needs": list(needs)}


def hand_in(**results: str) -> AIMessage:
    listed = [{"step": int(key[1:]), "result": text} for key, text in results.items()]
    return call("submit_results", results=listed)


async def run(**options: Any) -> dict[str, Any]:
    return await graph.ainvoke({"messages": [HumanMessage("the task")]}, **options)


def results(state: dict[str, Any]) -> list[str]:
    return [step["result"] for step in state["plan"]]


@pytest.fixture(autouse=True)
def current(engine: Engine) -> Engine:
    return engine


@pytest.fixture
def unbatched(engine: Engine) -> Iterator[None]:
    catalog = replace(engine.catalog, optimization=Optimization(batch_processing=False))
    with use_engine(replace(engine, catalog=catalog)):
        yield


async def test_three_steps_are_thought_of_with_one_call(chain: Any) -> None:
    chain.script = [
        *plan(think("aaa"), think("bbb"), think("ccc")),
        hand_in(s1="one", s3="three", s2="two"),
        say("the end"),
    ]
    state = await run()
    assert results(state) == ["one", "two", "three"]
    assert [s["status"] for s in state["plan"]] == ["done"] * 3
    assert state["usage"]["calls"] == 4
    assert chain.tool_names(2) == {"submit_results"}
    assert chain.calls[2][0].tool_choice == "submit_results"
    told = str(chain.calls[2][1][-1].text)
    assert all(f"Step {n}: {goal}" in told for n, goal in [(1, "aaa"), (2, "bbb"), (3, "ccc")])


async def test_each_step_has_a_transcript_of_its_own(chain: Any) -> None:
    chain.script = [*plan(think("aaa"), think("bbb")), hand_in(s1="one", s2="two"), say("end")]
    work = (await run())["work"]
    assert {key: [m.type for m in messages] for key, messages in work.items()} == {
        "1": ["human", "ai"], "2": ["human", "ai"],
    }  # fmt: skip
    assert "Your step, and only this:\naaa" in work["1"][0].text
    assert work["2"][1].text == "two"
    assert work["2"][1].usage_metadata is None, "the call is counted once"
    assert work["2"][1].response_metadata["model_provider"] == "groq"


async def test_a_step_that_was_left_out_is_done_alone_with_tools(chain: Any) -> None:
    chain.script = [
        *plan(think("aaa"), think("bbb"), think("ccc")),
        hand_in(s1="one", s3="three"),
        call("calculator", expression="1+1"),
        say("two"),
        say("the end"),
    ]
    state = await run()
    assert results(state) == ["one", "two", "three"]
    assert "calculator" in chain.tool_names(3)
    assert "Your step, and only this:\nbbb" in str(chain.calls[3][1][-1].text)
    assert state["usage"]["calls"] == 6


async def test_an_answer_without_form_costs_no_step_its_result(chain: Any) -> None:
    def alone(_: Any, messages: list[Any]) -> AIMessage:
        return say("a" if "this:\naaa" in messages[-1].text else "b")

    chain.script = [*plan(think("aaa"), think("bbb")), say("I did both."), alone, alone, say("end")]
    assert results(await run()) == ["a", "b"]


async def test_steps_wait_for_what_they_need(chain: Any) -> None:
    chain.script = [
        *plan(think("aaa"), think("bbb"), think("ccc", 1), think("ddd", 1, 2), think("eee", 3)),
        hand_in(s1="one", s2="two"),
        hand_in(s3="three", s4="four"),
        say("five"),
        say("the end"),
    ]
    state = await run()
    assert results(state) == ["one", "two", "three", "four", "five"]
    told = str(chain.calls[3][1][-1].text)
    assert told.count("- aaa: one") == 1
    assert "- bbb: two" in told


async def test_steps_that_act_are_not_shared(chain: Any) -> None:
    chain.script = [
        *plan(think("aaa"), {"goal": "bbb", "kind": "act"}, think("ccc")),
        lambda call, _: _either(call, hand_in(s1="one", s3="three"), say("two")),
        lambda call, _: _either(call, hand_in(s1="one", s3="three"), say("two")),
        say("the end"),
    ]
    assert results(await run()) == ["one", "two", "three"]


def _either(call: Any, batch: AIMessage, single: AIMessage) -> AIMessage:
    return batch if call.tool_choice == "submit_results" else single


async def test_a_step_that_is_sent_back_is_done_alone(chain: Any) -> None:
    chain.script = [
        *plan(think("aaa"), think("bbb")),
        hand_in(s1="one", s2="two"),
        call("send_back", verdict="retry", reason="be exact", steps=[1, 2]),
        say("better"),
        say("better"),
        say("the end"),
    ]
    state = await run()
    assert results(state) == ["better", "better"]
    assert "be exact" in str(chain.calls[4][1][-1].text)


@pytest.mark.parametrize("count", range(1, 9))
async def test_a_plan_of_n_thoughts_takes_few_calls(chain: Any, count: int) -> None:
    goals = [think(f"goal {number}") for number in range(1, count + 1)]

    def answer(call: Any, messages: list[Any]) -> AIMessage:
        if call.tool_choice != "submit_results":
            return say("alone, or the end")
        told = str(messages[-1].text)
        return hand_in(**{f"s{n}": "r" for n in range(1, count + 1) if f"Step {n}:" in told})

    chain.script = [*plan(*goals), *[answer] * MANY]
    state = await run()
    # Triage and planner, the thoughts, the reflector: a single thought is the answer itself
    assert state["usage"]["calls"] == 2 + ceil(count / 3) + (count > 1)


@pytest.mark.parametrize("count", range(2, 9))
async def test_a_plan_from_triage_takes_one_call_less(chain: Any, count: int) -> None:
    goals = [think(f"goal {number}") for number in range(1, count + 1)]

    def answer(call: Any, messages: list[Any]) -> AIMessage:
        if call.tool_choice != "submit_results":
            return say("alone, or the end")
        told = str(messages[-1].text)
        return hand_in(**{f"s{n}": "r" for n in range(1, count + 1) if f"Step {n}:" in told})

    chain.script = [call("make_plan", steps=goals), *[answer] * MANY]
    state = await run()
    assert state["usage"]["calls"] == 1 + ceil(count / 3) + 1


@pytest.mark.usefixtures("unbatched")
async def test_switched_off_each_step_has_its_call(chain: Any) -> None:
    chain.script = [*plan(think("aaa"), think("bbb")), say("one"), say("two"), say("the end")]
    state = await run()
    assert state["usage"]["calls"] == 5
    assert all("submit_results" not in chain.tool_names(number) for number in range(5))


async def test_events_tell_which_steps_share_a_call(chain: Any) -> None:
    chain.script = [
        *plan(think("aaa"), think("bbb"), think("ccc")),
        hand_in(s2="two"),
        say("one"),
        say("three"),
        say("the end"),
    ]
    stream = graph.astream({"messages": [HumanMessage("x")]}, stream_mode="custom")
    events = [event async for event in stream]
    assert [e["text"] for e in events if e["type"] == "step" and e["node"] == "batch"] == [
        "Thinking about steps 1, 2 and 3 together",
        "Still to be done each by itself: 1 and 3",
    ]
    last = [event for event in events if event["type"] == "plan"][-1]
    assert [step["status"] for step in last["steps"]] == ["done"] * 3


async def test_the_call_says_how_many_steps_share_it(chain: Any) -> None:
    chain.script = [*plan(think("aaa"), think("bbb")), hand_in(s1="1", s2="2"), say("end")]
    await run()
    assert [asked.parts for asked, _ in chain.calls] == [1, 1, 2, 1]
