"""Tool calls that need a person: what is asked, and what runs after each answer."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, Interrupt

from graph.agent import build, graph
from graph.state import Context
from potluck.engine import Engine, use_engine
from tools.policies import Policies
from tools.toolbox import Toolbox
from tools.tools_file import Rules


def call(*calls: tuple[str, dict[str, Any]]) -> AIMessage:
    return AIMessage(
        "", tool_calls=[{"name": name, "args": args, "id": uuid4().hex} for name, args in calls]
    )


class Run:
    """A thread of the agent under policies of its own."""

    def __init__(self, engine: Engine, policies: Mapping[str, Rules]) -> None:
        values = {**vars(engine), "toolbox": Toolbox(policies=Policies(tools=policies))}
        self._engine = Engine(**values)
        self._graph = build()
        self._graph.checkpointer = InMemorySaver()
        self._config: Any = {"configurable": {"thread_id": uuid4().hex}}

    async def ask(self, request: str, **context: Any) -> list[Interrupt]:
        return await self._go({"messages": [HumanMessage(request)]}, **context)

    async def answer(self, value: Any) -> list[Interrupt]:
        return await self._go(Command(resume=value))

    async def _go(self, given: Any, **context: Any) -> list[Interrupt]:
        with use_engine(self._engine):
            state = await self._graph.ainvoke(given, self._config, context=Context(**context))
        self.messages = state["messages"]
        return list(state.get("__interrupt__", ()))

    def files(self) -> dict[str, str]:
        found = (p for p in self._engine.home.rglob("*") if p.is_file())
        return {path.name: path.read_text() for path in found}

    def results(self) -> list[ToolMessage]:
        return [m for m in self.messages if isinstance(m, ToolMessage)]


@pytest.fixture
def asking(engine: Engine) -> Callable[..., Run]:
    return lambda **tools: Run(engine, tools or {"write_file": Rules(policy="ask")})


WRITE = ("write_file", {"path": "a.txt", "text": "one"})


async def test_asks_in_the_words_that_langgraphs_clients_show(asking: Any, chain: Any) -> None:
    chain.script = [call(WRITE)]
    run = asking()

    [interrupt] = await run.ask("write a")

    [request] = interrupt.value["action_requests"]
    assert (request["name"], request["args"]) == WRITE
    assert "tools.yaml says ask" in request["description"]
    assert interrupt.value["review_configs"] == [
        {"action_name": "write_file", "allowed_decisions": ["approve", "edit", "reject"]}
    ]
    assert run.files() == {}


@pytest.mark.parametrize(
    "answer",
    [
        {"decisions": [{"type": "approve"}]},
        {"type": "approve"},
        [{"type": "accept", "args": None}],
        "approve",
    ],
)
async def test_an_approved_call_runs_as_it_is(asking: Any, chain: Any, answer: Any) -> None:
    chain.script = [call(WRITE), AIMessage("done")]
    run = asking()
    await run.ask("write a")

    assert await run.answer(answer) == []

    assert run.files() == {"a.txt": "one"}
    assert run.messages[-1].text == "done"


async def test_an_edited_call_runs_as_the_person_wrote_it_and_the_model_is_told(
    asking: Any, chain: Any
) -> None:
    chain.script = [call(WRITE), AIMessage("done")]
    run = asking()
    await run.ask("write a")
    edited = {"name": "write_file", "args": {"path": "b.txt", "text": "two"}}

    await run.answer({"decisions": [{"type": "edit", "edited_action": edited}]})

    assert run.files() == {"b.txt": "two"}
    assert "changed this call" in run.results()[0].text


@pytest.mark.parametrize(
    "answer",
    [
        {"decisions": [{"type": "reject", "message": "not there"}]},
        {"decisions": [{"type": "approve"}, {"type": "approve"}]},
        {"decisions": []},
        {"decisions": [{"type": "edit", "edited_action": "rm"}]},
        "maybe",
        17,
    ],
)
async def test_whatever_is_no_clear_approval_runs_nothing(
    asking: Any, chain: Any, answer: Any
) -> None:
    chain.script = [call(WRITE), AIMessage("ok, not written")]
    run = asking()
    await run.ask("write a")

    await run.answer(answer)

    assert run.files() == {}
    [result] = run.results()
    assert result.status == "error"
    assert "rejected" in result.text


async def test_an_edit_cannot_reach_what_is_denied(asking: Any, chain: Any) -> None:
    chain.script = [call(WRITE), AIMessage("no")]
    run = asking(write_file=Rules(policy="ask", deny=[{"path": "secret*"}]))
    await run.ask("write a")
    edited = {"name": "write_file", "args": {"path": "secret.txt", "text": "x"}}

    await run.answer({"type": "edit", "edited_action": edited})

    assert run.files() == {}
    assert "deny" in run.results()[0].text


async def test_each_of_several_calls_is_decided_for_itself_and_none_runs_twice(
    asking: Any, chain: Any
) -> None:
    chain.script = [
        call(
            ("write_file", {"path": "log.txt", "text": "x", "append": True}),
            ("write_file", {"path": "b.txt", "text": "two"}),
            ("write_file", {"path": "c.txt", "text": "three"}),
        ),
        AIMessage("done"),
    ]
    run = asking(
        write_file=Rules(policy="ask", allow=[{"path": "log.txt"}]),
    )
    first, second = await run.ask("write three")
    assert run.files() == {"log.txt": "x"}

    await run.answer(
        {first.id: {"decisions": [{"type": "approve"}]}, second.id: {"type": "reject"}}
    )

    assert run.files() == {"log.txt": "x", "b.txt": "two"}
    assert [result.status for result in run.results()] == ["success", "success", "error"]


async def test_a_denied_call_is_not_run_and_nobody_is_asked(asking: Any, chain: Any) -> None:
    chain.script = [call(WRITE), AIMessage("I may not")]
    run = asking(write_file=Rules(deny=[{"path": "a.*"}]))

    assert await run.ask("write a") == []

    assert run.files() == {}
    assert "must not be tried in another way" in run.results()[0].text


async def test_without_a_checkpoint_nobody_can_be_asked_so_nothing_runs(
    engine: Engine, chain: Any
) -> None:
    chain.script = [call(WRITE), AIMessage("not possible")]
    asking = Toolbox(policies=Policies(tools={"write_file": Rules(policy="ask")}))
    with use_engine(Engine(**{**vars(engine), "toolbox": asking})):
        state = await graph.ainvoke({"messages": [HumanMessage("write a")]})

    assert "nobody can be asked" in state["messages"][2].text
    assert not list(engine.home.rglob("a.txt"))


async def test_a_caller_who_cannot_be_asked_is_not_and_nothing_runs(
    asking: Any, chain: Any
) -> None:
    chain.script = [call(WRITE), AIMessage("not possible")]
    run = asking()

    assert await run.ask("write a", can_ask=False) == []

    assert run.files() == {}
    assert "nobody can be asked" in run.results()[0].text


async def test_the_words_of_a_rejection_go_before_what_the_model_had_planned(
    asking: Any, chain: Any
) -> None:
    chain.script = [call(WRITE), AIMessage("as you wish")]
    run = asking()
    await run.ask("write a")

    await run.answer({"type": "reject", "message": "use b.txt"})

    assert run.results()[0].text.endswith("Go by what they said: use b.txt")
