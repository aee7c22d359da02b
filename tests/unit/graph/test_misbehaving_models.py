"""Models that loop, announce, claim, say nothing: the run still ends, and in few calls."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from graph.agent import graph
from nodes.loops import MOST_REFUSED, MOST_SAME
from nodes.second_answer import NO_ANSWER
from potluck.engine import Engine
from tools.workspace import Workspace

pytestmark = pytest.mark.usefixtures("engine")

TASK = "Do these things step by step, and then compare what came out"


def say(text: str, model: str = "m") -> AIMessage:
    counted: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    signed = {"model_provider": "groq", "model_name": model}
    return AIMessage(text, usage_metadata=counted, response_metadata=signed)


def call(name: str, **args: Any) -> AIMessage:
    made = say("")
    made.tool_calls = [{"name": name, "args": args, "id": uuid4().hex, "type": "tool_call"}]
    return made


def plan(*steps: dict[str, Any]) -> AIMessage:
    return call("make_plan", steps=list(steps))


def planned_and_done(used: str = "Well used.") -> list[AIMessage]:
    """Two steps, and what came of each: the verdict is next."""
    steps = plan({"goal": "Find the size"}, {"goal": "Use it well", "needs": [1]})
    return [steps, say("It is big."), say(used)]


def send_back(reason: str, words: str = "", steps: Any = None) -> AIMessage:
    """The verdict that steps are to be done again, with words beside it."""
    made = call("send_back", verdict="retry", reason=reason, steps=steps or [2])
    made.content = words
    return made


async def run(request: str = "do it", **options: Any) -> dict[str, Any]:
    return await graph.ainvoke({"messages": [HumanMessage(request)]}, **options)


def results(state: dict[str, Any]) -> list[str]:
    return [m.status for m in state["messages"] if isinstance(m, ToolMessage)]


async def test_an_empty_answer_is_asked_for_again_of_another_model(chain: Any) -> None:
    chain.script = [say("", "bad"), say("Here it is.")]
    state = await run()
    assert state["messages"][-1].text == "Here it is."
    assert [asked.avoid for asked, _ in chain.calls] == [None, "groq/bad"]
    assert (state["usage"]["calls"], state["usage"]["input_tokens"]) == (2, 20)


async def test_silence_is_said_plainly(chain: Any) -> None:
    chain.script = [say(""), say(" ")]
    state = await run()
    assert state["messages"][-1].text == NO_ANSWER
    assert state["usage"]["calls"] == 2


async def test_an_announcement_is_nudged_once(chain: Any) -> None:
    chain.script = [
        say("I will now call calculator."),
        call("calculator", expression="17*23"),
        say("It is 391."),
    ]
    state = await run("What is 17*23?")
    assert state["messages"][-1].text == "It is 391."
    assert state["usage"]["calls"] == 3
    spoken = state["messages"][1]
    assert spoken.text == "I will now call calculator.", "what was shown stays"
    assert spoken.tool_calls
    assert not any("called no tool" in str(m.text) for m in state["messages"])


async def test_who_only_announces_is_left_with_that(chain: Any) -> None:
    chain.script = [say("Let me check."), say("Let me check.")]
    state = await run()
    assert state["messages"][-1].text == "Let me check."


async def test_what_was_done_without_a_tool_was_not_done(chain: Any) -> None:
    chain.script = [say("Done."), call("write_file", path="a.txt", text="hi"), say("Saved.")]
    state = await run("Write hi to a.txt")
    assert results(state) == ["success"]
    assert state["messages"][-1].text == "Saved."


async def test_a_model_in_a_loop_gets_no_more_tools(chain: Any) -> None:
    same = {"expression": "1+1"}
    loops = [call("calculator", **same) for _ in range(MOST_SAME + MOST_REFUSED)]
    chain.script = [*loops, say("It is 2.")]
    state = await run("What is 1+1?")
    assert results(state) == ["success"] * MOST_SAME + ["error"] * MOST_REFUSED
    assert state["messages"][-1].text == "It is 2."
    assert not chain.tool_names(-1)
    assert "circles" in chain.prompt(-1)


async def test_two_calls_in_turn_end_too(chain: Any) -> None:
    pair = [{"expression": "1+1"}, {"expression": "2+2"}]
    chain.script = [*(call("calculator", **pair[n % 2]) for n in range(6)), say("2 and 4")]
    state = await run("What is 1+1 and 2+2?")
    assert results(state) == ["success"] * 4 + ["error"] * 2
    assert state["messages"][-1].text == "2 and 4"


async def test_a_tool_that_fails_is_given_up(chain: Any) -> None:
    tries = [call("read_file", path=f"no-{n}.txt") for n in range(6)]
    chain.script = [*tries, say("There is no such file.")]
    state = await run("Read the file")
    told = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert ["4 times in a row" in m.text for m in told] == [False] * 4 + [True] * 2
    assert state["usage"]["calls"] == 7


async def test_a_step_whose_promise_is_broken_goes_on_with_what_it_has(chain: Any) -> None:
    promise = {"goal": "Write the report", "kind": "act", "done_when": "report.md exists"}
    chain.script = [
        plan(promise, {"goal": "Judge it", "kind": "think", "needs": [1]}),
        call("list_files"),
        say("The report is ready.", "bad"),
        call("write_file", path="report.md", text="all is well"),
        say("It is in report.md."),
        say("It is good."),
        say("The end."),
    ]
    state = await run(TASK)
    assert [s["result"] for s in state["plan"]] == ["It is in report.md.", "It is good."]
    again = chain.calls[3]
    assert again[0].avoid == "groq/bad"
    assert "no file report.md" in again[1][-1].text
    assert any(isinstance(m, ToolMessage) for m in again[1]), "no call is made twice"
    assert state["usage"]["calls"] == 7


async def test_a_step_that_was_refused_is_begun_anew_with_what_was_wrong(chain: Any) -> None:
    chain.script = [
        plan({"goal": "Find the size"}, {"goal": "Use it", "needs": [1]}),
        say("I will not do it."),
        say("I will not do it."),
        say("It is big."),
        say("Used."),
        say("The end."),
    ]
    state = await run(TASK)
    # The second refusal follows on the word that there are tools
    assert [s["result"] for s in state["plan"]] == ["It is big.", "Used."]
    assert "refused" in chain.calls[3][1][-1].text
    assert len(chain.calls[3][1]) == 2, "a prompt and the step, without the refusals"


async def test_a_retry_that_brings_the_same_is_the_last(chain: Any) -> None:
    chain.script = [
        *planned_and_done(),
        send_back("too vague"),
        say("Well used."),
        say("It is big; more could not be found."),
    ]
    state = await run(TASK)
    assert state["messages"][-1].text == "It is big; more could not be found."
    assert not chain.tool_names(-1)
    assert "same results" in chain.prompt(-1)


async def test_a_retry_that_brings_nothing_loses_nothing(chain: Any) -> None:
    chain.script = [
        *planned_and_done(),
        send_back("used where?"),
        say("I cannot access files."),
        say("I cannot access files."),
        say("It is big and well used; where is not known."),
    ]
    state = await run(TASK)
    assert [(s["status"], s["result"]) for s in state["plan"]] == [
        ("done", "It is big."), ("done", "Well used."),
    ]  # fmt: skip
    assert "Doubt: used where?" in chain.calls[-1][1][-1].text


async def test_a_retry_for_which_no_call_is_left_loses_nothing(chain: Any) -> None:
    chain.script = [
        *planned_and_done(),
        send_back("used where?", steps=[1]),
        say("It is 12 m."),
        say("It is big and well used."),
    ]
    state = await run(TASK, context={"max_calls": 6})
    assert [s["result"] for s in state["plan"]] == ["It is 12 m.", "Well used."]
    assert "budget" in state["plan"][1]["feedback"]


@pytest.mark.parametrize("words", ["Big; well used.", "It is 12 m high."])
async def test_words_beside_a_verdict_are_the_answer_where_all_is_well(
    chain: Any, words: str
) -> None:
    chain.script = [*planned_and_done(), send_back("It could be put more fully.", words)]
    state = await run(TASK)
    assert state["messages"][-1].text == words
    assert state["messages"][-1].tool_calls == []


@pytest.mark.parametrize(
    "words", ["I will send it back.", "too short", "Let me try that again.", "やり直します。"]
)
async def test_words_on_the_verdict_are_no_answer(chain: Any, words: str) -> None:
    chain.script = [
        *planned_and_done(),
        send_back("It is too short.", words),
        say("Well used on the roof."),
        say("The end."),
    ]
    state = await run(TASK)
    assert state["messages"][-1].text == "The end."


async def test_a_broken_verdict_costs_no_answer(chain: Any) -> None:
    chain.script = [
        *planned_and_done("It was used on the roof."),
        call("send_back", verdict="hm", reason="?"),
    ]
    state = await run(TASK)
    assert state["messages"][-1].text == "It was used on the roof."


async def test_steps_in_a_verdict_are_read_as_they_are_meant(chain: Any) -> None:
    chain.script = [
        *planned_and_done("Used."),
        send_back("where?", steps="step 2"),
        say("Used on the roof."),
        say("The end."),
    ]
    state = await run(TASK)
    assert [s["result"] for s in state["plan"]] == ["It is big.", "Used on the roof."]


async def test_contradictory_results_are_told_to_the_model(chain: Any, engine: Engine) -> None:
    workspace = Workspace.for_thread(engine.home, "default")
    workspace.write("a.txt", b"Population: 1200")
    workspace.write("b.txt", b"Population: 1500")
    chain.script = [
        call("read_file", path="a.txt"),
        call("read_file", path="b.txt"),
        say("a.txt says 1200, b.txt 1500."),
    ]
    await run("How many people are there, by a.txt and b.txt?")
    assert "do not agree" not in chain.prompt(1)
    assert "population is 1200" in chain.prompt(2)


async def test_a_step_takes_only_so_many_rounds(chain: Any) -> None:
    def work(call_: Any, _: Any) -> AIMessage:
        if not call_.tools:
            return say("So far: 7.")
        return call("calculator", expression=f"1+{len(chain.calls)}")

    chain.script = [plan({"goal": "Add on and on"}), *[work] * 20]
    state = await run(TASK)
    assert state["messages"][-1].text == "So far: 7."
    assert state["usage"]["calls"] == 1 + 8 + 1


async def test_who_judges_may_say_that_it_is_done(chain: Any) -> None:
    chain.script = [*planned_and_done("Used."), say("Everything is done.")]
    state = await run(TASK)
    assert state["messages"][-1].text == "Everything is done."


async def test_who_answers_and_sends_back_at_once_has_answered(chain: Any) -> None:
    words = "It is big, and it was used on the roof of the house."
    chain.script = [*planned_and_done("Used."), send_back("more", words)]
    state = await run(TASK)
    assert state["messages"][-1].text == words
    assert not state["messages"][-1].tool_calls


async def test_a_model_without_the_will_is_asked_once_more(chain: Any) -> None:
    chain.script = [
        call("calculator", expression="17*23"),
        say("I do not agree that this is useful, so I will not do it."),
        say("It is 391."),
    ]
    state = await run("What is 17*23?")
    assert state["messages"][-1].text.endswith("It is 391.")
    assert state["usage"]["calls"] == 3
