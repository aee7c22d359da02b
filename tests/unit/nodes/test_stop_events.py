"""What streams are told when a run stops for a person, or waits for quota in its place."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph.agent import build
from potluck.engine import Engine, use_engine
from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.call import Call
from potluck.providers.course import Wait
from potluck.quota.parking import ParkedRuns
from tests.event_check import kinds_of
from tools.policies import Policies
from tools.toolbox import Toolbox
from tools.tools_file import Rules

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WRITE = {"path": "a.txt", "text": "one"}


def call(*names: str) -> AIMessage:
    calls = [{"name": name, "args": dict(WRITE), "id": f"c{n}"} for n, name in enumerate(names)]
    return AIMessage("", tool_calls=calls)


@pytest.fixture
async def tell(engine: Engine) -> AsyncIterator[Any]:
    """Run the agent on a thread whose `write_file` asks; gives the events of a run."""
    toolbox = Toolbox(policies=Policies(tools={"write_file": Rules(policy="ask")}))
    made = build()
    made.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": uuid4().hex}}

    async def told(given: Any = None, **context: Any) -> list[Any]:
        given = given or {"messages": [HumanMessage("write")]}
        stream = made.astream(given, config, context=context, stream_mode="custom")
        return [event async for event in stream]

    parking = ParkedRuns(clock=lambda: NOW)
    with use_engine(replace(engine, toolbox=toolbox, parking=parking)):
        yield told


def of_kind(events: list[Any], kind: str) -> list[Any]:
    kinds_of(events)
    return [event for event in events if event["type"] == kind]


async def test_a_run_that_stops_for_a_person_says_for_what(tell: Any, chain: Any) -> None:
    chain.script = [call("write_file")]
    events = await tell()
    assert kinds_of(events) == ["step", "approval_asked"]
    assert events[-1]["id"] == "c0"
    assert (events[-1]["name"], events[-1]["args"]) == ("write_file", WRITE)
    assert "tools.yaml says ask" in events[-1]["reason"]


@pytest.mark.parametrize(
    ("answer", "decided"),
    [
        ({"type": "approve"}, {"decision": "approve", "args": WRITE, "message": ""}),
        (
            {"type": "reject", "message": "not there"},
            {"decision": "reject", "args": WRITE, "message": "not there"},
        ),
        (
            {
                "type": "edit",
                "edited_action": {"name": "write_file", "args": {**WRITE, "path": "b.txt"}},
            },
            {"decision": "edit", "args": {**WRITE, "path": "b.txt"}, "message": ""},
        ),
    ],
    ids=["approve", "reject", "edit"],
)
async def test_what_was_decided_is_told_before_anything_runs(
    tell: Any, chain: Any, answer: Any, decided: Any
) -> None:
    chain.script = [call("write_file"), AIMessage("Done.")]
    await tell()
    events = await tell(Command(resume={"decisions": [answer]}))
    assert kinds_of(events)[:3] == ["approval_decided", "tool_call", "tool_result"]
    assert decided.items() <= events[0].items()
    assert {event["id"] for event in events[:3]} == {"c0"}
    assert events[2]["ok"] == (answer["type"] != "reject")


async def test_a_call_that_needs_nobody_tells_of_no_approval(tell: Any, chain: Any) -> None:
    chain.script = [call("write_file"), AIMessage("Done.")]
    events = await tell(can_ask=False)
    assert of_kind(events, "approval_asked") == []
    assert [event["ok"] for event in of_kind(events, "tool_result")] == [False]


async def test_each_of_two_calls_that_wait_is_told(tell: Any, chain: Any) -> None:
    chain.script = [call("write_file", "write_file")]
    asked = of_kind(await tell(), "approval_asked")
    assert {event["id"] for event in asked} == {"c0", "c1"}


async def test_waiting_in_place_is_not_parking(
    tell: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None:
        return

    def fail(*_: object) -> AIMessage:
        fault = ProviderFault(
            ErrorKind.MINUTE, ErrorScope.MODEL, "spent", NOW + timedelta(seconds=20)
        )
        raise ChainError([ProviderError("groq", "x", fault)])

    monkeypatch.setattr("nodes.parking.asyncio.sleep", at_once)
    chain.script = [fail, AIMessage("Here I am.")]
    events = await tell(when_out="wait")
    assert kinds_of(events) == ["step", "waiting", "answer_begun", "answer_ended"]
    assert events[1]["until"] == "2026-11-21T12:00:20.000+00:00"
    assert events[1]["waiting_for"] == ["groq/x"]


async def test_a_call_that_waits_for_room_is_told_where_it_waits(tell: Any, engine: Any) -> None:
    class Waiting:
        """A chain that waits a moment, and says so from the event loop as the real one does."""

        def runnable(self, asked: Call) -> Any:
            async def answer(_: Any) -> AIMessage:
                assert asked.on_wait is not None
                wait = Wait(("groq/x", "groq/y"), NOW)
                asyncio.get_running_loop().call_soon(asked.on_wait, wait)
                await asyncio.sleep(0.01)
                return AIMessage("Here I am.")

            return RunnableLambda(answer)

        def models(self) -> list[Any]:
            return []

    with use_engine(replace(engine, chain=Waiting())):
        events = await tell()
    assert kinds_of(events) == ["step", "waiting", "answer_begun", "answer_ended"]
    assert events[1]["reason"] == "No model that could answer has room now: groq/x, groq/y."
    assert events[1]["waiting_for"] == ["groq/x", "groq/y"]
