"""Runs that meet spent quota: parked, gone on with, put off again; waiting in place; failing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph.agent import build, graph
from potluck.engine import Engine, use_engine
from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.quota.parking import ParkedRuns

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
THREAD: Any = {"configurable": {"thread_id": "t1", "run_id": "r1"}}
HI = {"messages": [HumanMessage("do it")]}


def out(
    model: str = "x",
    *,
    in_s: float | None = 90.0,
    kind: ErrorKind = ErrorKind.DAY,
    provider: str = "groq",
) -> ProviderError:
    until = None if in_s is None else NOW + timedelta(seconds=in_s)
    return ProviderError(provider, model, ProviderFault(kind, ErrorScope.MODEL, "spent", until))


def failing(*errors: ProviderError) -> Any:
    def fail(*_: object) -> AIMessage:
        raise ChainError(errors)

    return fail


def plan(*goals: str) -> AIMessage:
    steps = [{"goal": goal, "kind": "act"} for goal in goals]
    return AIMessage("", tool_calls=[{"name": "submit_plan", "args": {"steps": steps}, "id": "p"}])


MAKE_PLAN = AIMessage("", tool_calls=[{"name": "make_plan", "args": {"why": "x"}, "id": "m"}])


@pytest.fixture
def parking(engine: Engine) -> Any:
    parked = ParkedRuns(clock=lambda: NOW)
    with use_engine(replace(engine, parking=parked)):
        yield parked


@pytest.fixture
def agent(parking: ParkedRuns) -> Any:
    """The agent with a checkpointer that a test may look into."""
    made = build()
    made.checkpointer = InMemorySaver()
    return made


def interrupts(state: Any) -> list[Any]:
    return list(state.get("__interrupt__", ()))


async def go_on(agent: Any, state: Any, **options: Any) -> Any:
    answers = {one.id: {"again": True} for one in interrupts(state)}
    return await agent.ainvoke(Command(resume=answers), THREAD, **options)


async def test_a_run_without_quota_stops_and_says_when_it_goes_on(
    agent: Any, chain: Any, parking: ParkedRuns
) -> None:
    chain.script = [failing(out("late", in_s=500), out("soon", in_s=90))]
    context = {"privacy": "private", "priority": "background"}
    (stopped,) = interrupts(await agent.ainvoke(HI, THREAD, context=context))
    assert stopped.value["type"] == "parked"
    assert stopped.value["resume_at"] == "2026-11-21T12:01:30.000+00:00"
    assert stopped.value["waiting_for"] == ["groq/soon", "groq/late"]
    assert "groq/soon" in stopped.value["reason"]
    (run,) = await parking.list()
    assert (run.thread_id, run.run_id, run.times) == ("t1", "r1", 1)
    assert run.resume_at == NOW + timedelta(seconds=90)
    assert run.context == context
    assert run.priority == "background"
    assert run.known_models == ("groq/x",)


async def test_it_goes_on_where_it_stopped(agent: Any, chain: Any) -> None:
    chain.script = [failing(out()), AIMessage("Hello!")]
    stopped = await agent.ainvoke(HI, THREAD)
    state = await go_on(agent, stopped)
    assert [m.text for m in state["messages"]] == ["do it", "Hello!"]
    assert state["usage"]["calls"] == 1


async def test_each_resumption_asks_once_however_often_it_was_put_off(
    agent: Any, chain: Any, parking: ParkedRuns
) -> None:
    chain.script = [failing(out()) for _ in range(5)]
    state = await agent.ainvoke(HI, THREAD)
    ids = {interrupts(state)[0].id}
    for times in range(2, 6):
        state = await go_on(agent, state)
        ids.add(interrupts(state)[0].id)
        assert len(chain.calls) == times
        assert (await parking.list())[0].times == times
    assert len(ids) == 5
    chain.script = [AIMessage("At last")]
    state = await go_on(agent, state)
    assert state["messages"][-1].text == "At last"


async def test_an_unknown_end_is_waited_for_longer_each_time(
    agent: Any, chain: Any, parking: ParkedRuns
) -> None:
    chain.script = [failing(out(in_s=None)) for _ in range(5)]
    state = await agent.ainvoke(HI, THREAD)
    waits = [(await parking.list())[0].resume_at - NOW]
    for _ in range(4):
        state = await go_on(agent, state)
        await parking.remove((await parking.list())[0])
        chain.script.append(failing(out(in_s=None)))
        state = await go_on(agent, state)
        waits.append((await parking.list())[0].resume_at - NOW)
    assert [wait.total_seconds() / 60 for wait in waits] == [1, 15, 60, 60, 60]


async def test_an_end_in_the_past_does_not_keep_the_server_busy(
    agent: Any, chain: Any, parking: ParkedRuns
) -> None:
    chain.script = [failing(out(in_s=-5)) for _ in range(8)]
    state = await agent.ainvoke(HI, THREAD)
    waits = []
    for _ in range(7):
        waits.append(interrupts(state)[0].value["resume_at"])
        state = await go_on(agent, state)
    seconds = [(datetime.fromisoformat(at) - NOW).total_seconds() for at in waits]
    assert seconds == [1, 2, 4, 8, 16, 32, 60]


async def test_steps_side_by_side_are_parked_as_one_run_and_go_on_together(
    agent: Any, chain: Any, parking: ParkedRuns
) -> None:
    replies = {
        "First thing": failing(out("a", in_s=300)),
        "Second thing": AIMessage("second done"),
        "Third thing": failing(out("b", in_s=200)),
    }

    def of_goal(call: Any, messages: Any) -> AIMessage:
        reply: Any = next(r for goal, r in replies.items() if f"this:\n{goal}" in messages[-1].text)
        return reply(call, messages) if callable(reply) else reply

    steps = plan("First thing", "Second thing", "Third thing")
    chain.script = [MAKE_PLAN, steps, *[of_goal] * 3]
    stopped = await agent.ainvoke(HI, THREAD)
    assert len(interrupts(stopped)) == 2
    (run,) = await parking.list()
    assert run.resume_at == NOW + timedelta(seconds=200)
    assert set(run.waiting_for) == {"groq/a", "groq/b"}
    replies |= {"First thing": AIMessage("first done"), "Third thing": AIMessage("third done")}
    chain.script = [of_goal, of_goal, AIMessage("All done")]
    state = await go_on(agent, stopped)
    assert [step["result"] for step in state["plan"]] == ["first done", "second done", "third done"]
    assert state["messages"][-1].text == "All done"
    assert state["usage"]["calls"] == 6


async def test_a_node_that_asks_twice_begins_anew(agent: Any, chain: Any) -> None:
    wrong = AIMessage("", tool_calls=[{"name": "submit_plan", "args": {"steps": []}, "id": "p"}])
    chain.script = [MAKE_PLAN, wrong, failing(out())]
    stopped = await agent.ainvoke(HI, THREAD)
    chain.script = [wrong, plan("Only thing"), AIMessage("done"), AIMessage("All done")]
    state = await go_on(agent, stopped)
    assert state["messages"][-1].text == "All done"
    assert [step["goal"] for step in state["plan"]] == ["Only thing"]


async def test_a_new_message_takes_the_place_of_the_parked_work(agent: Any, chain: Any) -> None:
    chain.script = [failing(out()), AIMessage("Both answered")]
    await agent.ainvoke(HI, THREAD)
    again: Any = {"configurable": {"thread_id": "t1", "run_id": "r2"}}
    state = await agent.ainvoke({"messages": [HumanMessage("and this?")]}, again)
    assert [m.text for m in state["messages"]] == ["do it", "and this?", "Both answered"]
    assert not (await agent.aget_state(THREAD)).interrupts


async def test_streams_tell_it(agent: Any, chain: Any) -> None:
    chain.script = [failing(out())]
    events = [e async for e in agent.astream(HI, THREAD, stream_mode="custom")]
    parked = [e for e in events if e["type"] == "parked"]
    assert [e["resume_at"] for e in parked] == ["2026-11-21T12:01:30.000+00:00"]


async def told_before_failing(stream: AsyncIterator[Any]) -> list[Any]:
    told = []
    try:
        async for event in stream:
            told.append(event)  # noqa: PERF401 - what came before the error counts
    except ChainError:
        return told
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("config", "context"), [({}, {}), ({}, {"when_out": "wait"}), (THREAD, {"when_out": "fail"})]
)
async def test_a_run_that_cannot_go_on_later_fails(
    agent: Any, chain: Any, parking: ParkedRuns, config: Any, context: Any
) -> None:
    chain.script = [failing(out())]
    asked = agent if config else graph
    events = await told_before_failing(
        asked.astream(HI, config, context=context, stream_mode="custom")
    )
    assert events[-1]["back_at"] == "2026-11-21T12:01:30.000+00:00"
    assert await parking.list() == []


@pytest.mark.parametrize(
    "errors",
    [
        (out(kind=ErrorKind.NETWORK),),
        (
            out(),
            out(kind=ErrorKind.CALLER, provider="a"),
            out(kind=ErrorKind.CALLER, provider="b"),
        ),
    ],
    ids=["network", "wrong request"],
)
async def test_what_no_quota_would_mend_is_not_parked(
    agent: Any, chain: Any, parking: ParkedRuns, errors: tuple[ProviderError, ...]
) -> None:
    chain.script = [failing(*errors)]
    with pytest.raises(ChainError):
        await agent.ainvoke(HI, THREAD)
    assert await parking.list() == []


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []

    async def sleep(duration_s: float) -> None:
        seconds.append(duration_s)

    monkeypatch.setattr("nodes.parking.asyncio.sleep", sleep)
    return seconds


async def test_a_run_that_is_not_kept_waits_in_place(
    agent: Any, chain: Any, parking: ParkedRuns, slept: list[float]
) -> None:
    chain.script = [failing(out(in_s=20)), failing(out(in_s=25)), AIMessage("Hello!")]
    state = await agent.ainvoke(HI, THREAD, context={"when_out": "wait"})
    assert state["messages"][-1].text == "Hello!"
    assert slept == [20, 25]
    assert await parking.list() == []


async def test_it_waits_no_longer_than_the_limit(
    agent: Any, chain: Any, parking: ParkedRuns, slept: list[float]
) -> None:
    chain.script = [failing(out(in_s=40)), failing(out(in_s=40))]
    with pytest.raises(ChainError):
        await agent.ainvoke(HI, THREAD, context={"when_out": "wait"})
    assert slept == [40]
