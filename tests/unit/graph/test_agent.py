"""The agent's ways through the graph, with a scripted chain and the real tools."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from graph.agent import build, graph
from nodes.reflector import MAX_SEND_BACKS

pytestmark = pytest.mark.usefixtures("engine")


def say(text: str) -> AIMessage:
    counted = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    return AIMessage(text, usage_metadata=counted)


def call(*calls: tuple[str, dict[str, Any]], text: str = "") -> AIMessage:
    return AIMessage(
        text,
        tool_calls=[{"name": name, "args": args, "id": uuid4().hex} for name, args in calls],
    )


def plan(*steps: dict[str, Any]) -> AIMessage:
    return call(("submit_plan", {"steps": list(steps)}))


async def run(request: str, **options: Any) -> dict[str, Any]:
    return await graph.ainvoke({"messages": [HumanMessage(request)]}, **options)


def test_draws_the_seven_nodes_by_their_names() -> None:
    names = set(graph.get_graph().nodes)
    assert names == {
        "__start__", "triage", "planner", "executor", "model", "batch", "tools", "reflector",
        "__end__",
    }  # fmt: skip


async def test_chat_is_answered_with_one_call(chain: Any) -> None:
    chain.script = [say("Hello!")]
    state = await run("hi")
    assert [m.text for m in state["messages"]] == ["hi", "Hello!"]
    usage = {"calls": 1, "input_tokens": 10, "output_tokens": 5, "tool_calls": 0}
    assert state["usage"] == {**usage, "cached_tokens": 0, "reasoning_tokens": 0}


async def test_one_tool_takes_two_calls(chain: Any) -> None:
    chain.script = [call(("calculator", {"expression": "17*23"})), say("It is 391.")]
    state = await run("What is 17*23?")
    tool_result = state["messages"][2]
    assert isinstance(tool_result, ToolMessage)
    assert "391" in tool_result.text
    assert state["messages"][-1].text == "It is 391."
    assert (state["usage"]["calls"], state["usage"]["tool_calls"]) == (2, 1)


async def test_tools_run_over_several_rounds(chain: Any) -> None:
    chain.script = [
        call(("write_file", {"path": "hello.txt", "text": "hi"})),
        call(("read_file", {"path": "hello.txt"})),
        say("It holds: hi"),
    ]
    state = await run("Write hello.txt with the text hi, then read it back")
    results = [m.text for m in state["messages"] if isinstance(m, ToolMessage)]
    assert len(results) == 2
    assert "hi" in results[1]


async def test_independent_calls_run_side_by_side_and_each_gets_its_result(chain: Any) -> None:
    two = call(("calculator", {"expression": "1+1"}), ("calculator", {"expression": "2+2"}))
    chain.script = [two, say("2 and 4")]
    state = await run("1+1 and 2+2?")
    answered = {m.tool_call_id for m in state["messages"] if isinstance(m, ToolMessage)}
    assert answered == {c["id"] for c in two.tool_calls}
    assert state["usage"]["tool_calls"] == 2


async def test_a_failing_tool_comes_back_as_a_result_to_act_on(chain: Any) -> None:
    chain.script = [call(("read_file", {"path": "missing.txt"})), say("There is no such file.")]
    state = await run("read missing.txt")
    result = state["messages"][2]
    assert result.status == "error"
    assert "missing.txt" in result.text


@pytest.mark.parametrize(
    "bad", [("calculator", {}), ("calculator", {"expression": 3}), ("no_such_tool", {"x": 1})]
)
async def test_a_wrong_call_is_shown_to_the_model(chain: Any, bad: tuple[str, Any]) -> None:
    chain.script = [call(bad), say("sorry")]
    state = await run("do it")
    assert state["messages"][2].status == "error"
    assert state["messages"][-1].text == "sorry"


async def test_a_path_out_of_the_workspace_is_refused(chain: Any) -> None:
    chain.script = [call(("read_file", {"path": "../../etc/passwd"})), say("I may not.")]
    state = await run("read it")
    assert state["messages"][2].status == "error"
    assert "root:" not in state["messages"][2].text


async def test_the_same_call_again_and_again_is_refused(chain: Any) -> None:
    same = ("calculator", {"expression": "1+1"})
    chain.script = [call(same), call(same), call(same), call(same), say("2")]
    state = await run("1+1?")
    statuses = [m.status for m in state["messages"] if isinstance(m, ToolMessage)]
    assert statuses == ["success", "success", "success", "error"]


async def test_at_the_end_of_the_budget_the_model_must_answer_without_tools(chain: Any) -> None:
    chain.script = [
        call(("calculator", {"expression": "1+1"})),
        call(("calculator", {"expression": "2+2"})),
        say("That is all I have."),
    ]
    state = await run("go on for ever", context={"max_calls": 3})
    assert chain.tool_names(1)
    assert not chain.tool_names(2)
    assert "budget" in chain.prompt(2)
    assert state["messages"][-1].text == "That is all I have."
    assert state["left"]["calls"] == 0


async def test_plan_of_three_steps_is_done_and_accepted(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "several steps"})),
        plan(
            {"goal": "Add one and one", "kind": "act"},
            {"goal": "Add two and two", "kind": "act"},
            {"goal": "Compare both sums", "kind": "think", "needs": [1, 2]},
        ),
        call(("calculator", {"expression": "1+1"})),
        call(("calculator", {"expression": "2+2"})),
        say("sum is 2"),
        say("sum is 4"),
        say("4 is larger"),
        say("The second sum is larger: 4."),
    ]
    state = await run("Compare two sums")
    assert state["messages"][-1].text == "The second sum is larger: 4."
    assert len(state["messages"]) == 2, "the steps' own messages stay out of the conversation"
    assert [s["status"] for s in state["plan"]] == ["done", "done", "done"]
    third = str(chain.calls[6][1][-1].text)
    assert "sum is 2" in third
    assert "sum is 4" in third
    assert state["usage"]["calls"] == 8


async def test_a_step_waits_for_those_it_needs_while_others_go_on(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "first"}, {"goal": "after first", "needs": [1]}),
        say("one"),
        say("two"),
        say("The end."),
    ]
    state = await run("x")
    assert [s["result"] for s in state["plan"]] == ["one", "two"]


async def test_reflector_sends_a_step_back_once_with_what_was_wrong(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "find the sum"}, {"goal": "use the sum", "needs": [1]}),
        say("sum is 5"),
        say("used 5"),
        call(("send_back", {"verdict": "retry", "reason": "1+1 is not 5", "steps": [1]})),
        say("sum is 2"),
        say("used 2"),
        say("It is 2."),
    ]
    state = await run("x")
    assert "1+1 is not 5" in str(chain.calls[5][1][-1].text)
    assert [s["result"] for s in state["plan"]] == ["sum is 2", "used 2"], "what built on it, too"
    assert state["messages"][-1].text == "It is 2."
    assert state["verdict"] == "accept"


async def test_a_step_without_a_result_is_tried_again_without_asking_the_model(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "think"}),
        say(""),
        say("better"),
    ]
    state = await run("x")
    assert state["plan"][0]["result"] == "better"
    assert state["messages"][-1].text == "better"


async def test_replan_keeps_finished_steps_and_tells_what_went_wrong(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "look it up"}, {"goal": "look at it", "needs": [1]}),
        say("found A"),
        say("A is fine"),
        call(("send_back", {"verdict": "replan", "reason": "B is needed as well"})),
        plan({"goal": "look it up"}, {"goal": "look up B"}),
        say("found B"),
        say("A and B"),
    ]
    state = await run("x")
    assert "B is needed as well" in chain.prompt(5)
    assert "found A" in chain.prompt(5)
    assert "found A" in str(chain.calls[6][1][-1].text), "new steps can build on finished ones"
    assert [(s["id"], s["result"]) for s in state["plan"]] == [
        (1, "found A"), (2, "A is fine"), (3, "found B"),
    ], "what is finished is not done again, whatever the new plan says"  # fmt: skip


async def test_reflector_can_ask_the_user(chain: Any) -> None:
    ask = {"verdict": "ask", "reason": "unclear", "question": "Which of the two?"}
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "choose"}, {"goal": "use it", "needs": [1]}),
        say("cannot tell"),
        say("no use"),
        call(("send_back", ask)),
    ]
    state = await run("x")
    assert state["messages"][-1].text == "Which of the two?"


async def test_sending_back_ends(chain: Any) -> None:
    again = ("send_back", {"verdict": "retry", "reason": "no", "steps": [2]})
    rounds = [m for n in range(MAX_SEND_BACKS) for m in (say(f"try {n}"), call(again))]
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "think"}, {"goal": "think on", "needs": [1]}),
        say("thought"), *rounds, say("the last try"), say("end"),
    ]  # fmt: skip
    state = await run("x")
    assert state["messages"][-1].text == "end"
    assert not chain.tool_names(-1)


async def test_a_plan_without_steps_is_shown_once_and_mended(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan(),
        plan({"goal": "one"}),
        say("1"),
    ]
    state = await run("x")
    assert "no steps" in str(chain.calls[2][1][-1].text)
    assert state["plan"][0]["result"] == "1"


async def test_needs_that_make_no_sense_are_mended_without_a_call(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "one", "needs": [7, 2]}, {"goal": "two", "needs": [1]}),
        say("1"),
        say("2"),
        say("end"),
    ]
    state = await run("x")
    assert [(s["goal"], s["needs"]) for s in state["plan"]] == [("one", []), ("two", [1])]
    assert state["usage"]["calls"] == 5


async def test_a_plan_that_triage_writes_down_takes_no_call_of_its_own(chain: Any) -> None:
    steps = [{"goal": "first"}, {"goal": "second", "needs": [1]}]
    chain.script = [call(("make_plan", {"steps": steps})), say("one"), say("two"), say("end")]
    state = await run("x")
    assert [s["result"] for s in state["plan"]] == ["one", "two"]
    assert state["usage"]["calls"] == 4


async def test_a_plan_written_as_broken_json_text_is_repaired(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        say("Here you are: ```json\n{'steps': [{'goal': 'one step',}]\n```"),
        say("1"),
    ]
    state = await run("x")
    assert [s["goal"] for s in state["plan"]] == ["one step"]


async def test_without_any_plan_the_task_is_one_step(chain: Any) -> None:
    chain.script = [call(("make_plan", {"why": "x"})), say("no"), say("no"), say("r")]
    state = await run("Compare two sums")
    assert [s["goal"] for s in state["plan"]] == ["Compare two sums"]


async def test_the_next_turn_starts_with_a_clean_plan_and_account(chain: Any) -> None:
    agent = build()
    agent.checkpointer = InMemorySaver()
    config = {"configurable": {"thread_id": "t"}}
    chain.script = [
        call(("make_plan", {"why": "x"})), plan({"goal": "think"}), say("r"),
        say("You're welcome."),
    ]  # fmt: skip
    await agent.ainvoke({"messages": [HumanMessage("x")]}, config)
    state = await agent.ainvoke({"messages": [HumanMessage("thanks")]}, config)
    assert state["plan"] == []
    assert state["work"] == {}
    assert state["usage"]["calls"] == 1
    assert [m.text for m in state["messages"]] == ["x", "r", "thanks", "You're welcome."]


async def test_system_messages_and_instructions_become_one_prompt_in_front(chain: Any) -> None:
    chain.script = [say("Arr!")]
    await graph.ainvoke(
        {"messages": [("user", "hi"), ("system", "Be brief."), ("user", "who are you?")]},
        context={"instructions": "Talk like a pirate."},
    )
    messages = chain.calls[0][1]
    assert [m.type for m in messages] == ["system", "human", "human"]
    assert "Talk like a pirate." in messages[0].text
    assert "Be brief." in messages[0].text


async def test_the_caller_chooses_model_and_privacy(chain: Any) -> None:
    chain.script = [say("ok")]
    await run("hi", context={"model": "groq/openai/gpt-oss-20b", "privacy": "private"})
    asked = chain.calls[0][0]
    assert asked.prefer == "groq/openai/gpt-oss-20b"
    assert asked.private


async def test_events_tell_what_happens_in_order(chain: Any) -> None:
    chain.script = [
        call(("make_plan", {"why": "x"})),
        plan({"goal": "add"}),
        call(("calculator", {"expression": "1+1"})),
        say("2"),
    ]
    events = [
        event
        async for event in graph.astream({"messages": [HumanMessage("x")]}, stream_mode="custom")
    ]
    assert [e["type"] for e in events] == [
        "step", "step", "plan", "budget", "plan", "step", "step", "budget", "tool_call",
        "tool_result", "budget", "step", "budget", "plan", "step", "verdict", "answer_begun",
        "answer_ended",
    ]  # fmt: skip
    assert events[9]["ok"]
    assert [s["status"] for e in events if e["type"] == "plan" for s in e["steps"]] == [
        "todo", "doing", "done",
    ]  # fmt: skip
