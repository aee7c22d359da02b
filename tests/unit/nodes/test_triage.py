"""Triage: what each request is offered and told, what it costs, and how odd replies go on."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.utils.function_calling import convert_to_openai_tool

from graph.agent import graph
from nodes.model import NO_ANSWER
from nodes.triage import KNOWLEDGE_PROMPT, TALK_PROMPT
from potluck.engine import Engine
from tools.toolbox import Toolbox
from tools.workspace import Workspace

pytestmark = pytest.mark.usefixtures("engine")

QUESTION = "What is the capital of Australia?"
LONG_TASK = "Read sales.csv, then compare the regions, and finally write a report to report.md"


def call(*names: str, text: str = "", **args: Any) -> AIMessage:
    calls = [{"name": name, "args": args, "id": f"{name}-{n}"} for n, name in enumerate(names)]
    return AIMessage(text, tool_calls=calls)


async def run(said: str | Sequence[AnyMessage], **options: Any) -> dict[str, Any]:
    messages = [HumanMessage(said)] if isinstance(said, str) else list(said)
    return await graph.ainvoke({"messages": messages}, **options)


def names(chain: Any, number: int) -> set[str]:
    tools = chain.calls[number][0].tools
    return {convert_to_openai_tool(tool)["function"]["name"] for tool in tools}


def tokens(chain: Any, number: int) -> int:
    call, messages = chain.calls[number]
    shown = [convert_to_openai_tool(tool) for tool in call.tools]
    tools = len(json.dumps(shown, separators=(",", ":"))) // 4 if shown else 0
    return int(count_tokens_approximately(messages)) + tools


@pytest.mark.parametrize(
    ("text", "most"),
    [("hi", 60), ("ありがとう！", 60), (QUESTION, 200), ("What is 17*23?", 1_150)],  # noqa: RUF001 - typed so
)
async def test_what_a_request_costs_to_ask(chain: Any, text: str, most: int) -> None:
    chain.script = [AIMessage("Well.")]
    await run(text)
    assert tokens(chain, 0) <= most


async def test_small_talk_goes_without_tools(chain: Any) -> None:
    chain.script = [AIMessage("Hello!")]
    await run("hello there")
    assert names(chain, 0) == set()
    assert chain.prompt(0) == TALK_PROMPT


async def test_a_plain_question_has_the_way_to_all_tools(chain: Any, engine: Engine) -> None:
    chain.script = [AIMessage("Canberra.")]
    await run(QUESTION)
    assert names(chain, 0) == {"use_tools"}
    described = chain.calls[0][0].tools[0]["function"]["description"]
    assert all(tool.name in described for tool in engine.toolbox.offered)
    assert chain.prompt(0) == KNOWLEDGE_PROMPT


async def test_who_wants_the_tools_gets_them_in_the_same_turn(chain: Any, engine: Engine) -> None:
    chain.script = [call("use_tools", why="to be sure"), call("calculator", expression="1+1"),
                    AIMessage("Canberra.")]  # fmt: skip
    state = await run(QUESTION)
    assert names(chain, 1) == {tool.name for tool in engine.toolbox.offered}
    assert "Today: " in chain.prompt(1)
    assert state["messages"][-1].text == "Canberra."
    assert "use_tools" not in str(state["messages"])
    assert state["usage"]["calls"] == 3


async def test_what_nothing_speaks_for_is_left_out_but_can_be_had(chain: Any) -> None:
    chain.script = [AIMessage("391.")]
    await run("What is 17*23?")
    offered = names(chain, 0)
    assert {"calculator", "python", "search_web", "write_file", "use_tools"} <= offered
    assert not {"get_weather", "query_database", "edit_file", "make_plan"} & offered


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("Do I need an umbrella in Oslo tomorrow?", "get_weather"),
        ("明日の大阪の天気は？", "get_weather"),  # noqa: RUF001 - typed so
        ("How many rows has the table orders?", "query_database"),
        ("Read notes.txt", "read_file"),
        ("メモを検索して", "search_files"),
    ],
)
async def test_what_a_word_speaks_for_is_offered(chain: Any, text: str, tool: str) -> None:
    chain.script = [AIMessage("Well.")]
    await run(text)
    assert tool in names(chain, 0)


async def test_files_at_hand_are_told_and_bring_their_tools(chain: Any, engine: Engine) -> None:
    Workspace.for_thread(engine.home, "t").write("shop.db", b"x")
    chain.script = [AIMessage("Ten.")]
    await run(
        "Who are our ten best customers this year?", config={"configurable": {"thread_id": "t"}}
    )
    assert "`shop.db`" in chain.prompt(0)
    assert {"query_database", "edit_file"} <= names(chain, 0)


async def test_a_tool_that_is_not_offered_can_be_called_all_the_same(chain: Any) -> None:
    chain.script = [call("current_time"), AIMessage("Now.")]
    state = await run(QUESTION)
    assert state["messages"][2].status == "success"
    assert len(chain.calls) == 2


@pytest.mark.parametrize("text", ["hi", QUESTION, "Explain photosynthesis to a child", "15% of 80"])
async def test_a_plan_for_what_needs_none_is_turned_around(chain: Any, text: str) -> None:
    chain.script = [call("make_plan", text="I will make a plan."), AIMessage("Here it is.")]
    state = await run(text)
    assert state["messages"][-1].text == "Here it is."
    assert not state["needs_plan"]
    assert "No plan is needed" in chain.prompt(1)
    assert "make_plan" not in names(chain, 1)
    assert state["usage"]["calls"] == 2


async def test_who_insists_on_a_needless_plan_never_reaches_the_planner(chain: Any) -> None:
    chain.script = [call("make_plan"), call("make_plan")]
    state = await run(QUESTION)
    assert state["messages"][-1].text == NO_ANSWER
    assert not state["messages"][-1].tool_calls
    assert state["plan"] == []


async def test_a_needless_plan_beside_another_call_is_dropped(chain: Any) -> None:
    chain.script = [call("make_plan", "calculator", expression="17*23"), AIMessage("391.")]
    state = await run("What is 17*23?")
    assert [made["name"] for made in state["messages"][1].tool_calls] == ["calculator"]
    assert state["messages"][-1].text == "391."
    assert len(chain.calls) == 2


@pytest.mark.parametrize(
    "reply",
    [
        call("make_plan", "calculator", expression="1+1", steps=[{"goal": "Think of it"}]),
        AIMessage(
            "", invalid_tool_calls=[{"name": "make_plan", "args": "{", "id": "1", "error": "x"}]
        ),
    ],
    ids=["with another call", "with broken arguments"],
)
async def test_a_plan_that_is_called_for_is_made(chain: Any, reply: AIMessage) -> None:
    plan = call("submit_plan", steps=[{"goal": "Think of it", "kind": "think"}])

    def answer(call: Any, _: object) -> AIMessage:
        wants_plan = "submit_plan" in {getattr(tool, "__name__", "") for tool in call.tools}
        return plan if wants_plan else AIMessage("It is thought of, and this is the result.")

    chain.script = [reply, answer, answer, answer, answer]
    state = await run(LONG_TASK)
    assert "make_plan" in names(chain, 0)
    assert state["needs_plan"]
    assert [step["status"] for step in state["plan"]] == ["done"]


async def test_with_one_call_to_spend_nothing_is_offered_that_only_leads_to_another(
    chain: Any,
) -> None:
    chain.script = [AIMessage("Canberra.")]
    await run(QUESTION, context={"max_calls": 1})
    assert names(chain, 0) == set()


async def test_a_clients_tools_come_with_all_of_ours(chain: Any, engine: Engine) -> None:
    door = {"type": "function", "function": {"name": "open_door", "parameters": {}}}
    chain.script = [AIMessage("Hello.")]
    await run("hi", context={"client_tools": [door]})
    assert names(chain, 0) >= {"open_door", *(tool.name for tool in engine.toolbox.offered)}


async def test_the_answer_to_a_question_of_ours_is_worked_on_with_what_was_asked(
    chain: Any,
) -> None:
    chain.script = [AIMessage("Into which language?")]
    first = await run("Write a program that greets")
    chain.script = [AIMessage("Here it is: ...")]
    state = await run([*first["messages"], HumanMessage("Rust")])
    assert state["task_type"] == "code_generation"
    assert "python" in names(chain, 1)


async def test_a_tool_that_is_denied_is_not_named(chain: Any, engine: Engine) -> None:
    engine.toolbox = Toolbox(tuple(s for s in engine.toolbox.specs if s.tool.name != "shell"))
    chain.script = [AIMessage("Canberra.")]
    await run(QUESTION)
    assert "shell" not in chain.calls[0][0].tools[0]["function"]["description"]


async def test_what_never_changes_stands_first_in_the_prompt(chain: Any, engine: Engine) -> None:
    chain.script = [AIMessage("a"), AIMessage("b")]
    await run("Read a.txt")
    Workspace.for_thread(engine.home, "default").write("a.txt", b"x")
    await run("Read a.txt")
    first, second = chain.prompt(0), chain.prompt(1)
    assert first.partition("\nThe workspace")[0] == second.partition("\nFiles in")[0]
    assert first.index("Today: ") > len(first) * 2 / 3


async def test_amid_the_work_the_rest_of_the_tools_can_be_had_too(
    chain: Any, engine: Engine
) -> None:
    chain.script = [call("calculator", expression="17*23"), call("use_tools", why="the weather"),
                    AIMessage("391.")]  # fmt: skip
    state = await run("What is 17*23?")
    assert {"calculator", "use_tools"} <= names(chain, 1)
    assert "get_weather" not in names(chain, 1)
    assert names(chain, 2) == {tool.name for tool in engine.toolbox.offered}
    assert tokens(chain, 1) <= 1_200
    assert "use_tools" not in str(state["messages"])
    assert (state["messages"][-1].text, state["usage"]["calls"]) == ("391.", 3)


async def test_a_tool_that_was_called_stays_at_hand(chain: Any) -> None:
    chain.script = [call("get_weather", place="Oslo", days=99), AIMessage("No forecast.")]
    await run("What is 17*23?")
    assert "get_weather" in names(chain, 1)
