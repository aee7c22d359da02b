"""The strong model: whatever the agent, it plays from what it is sent, and from nothing else."""

import json
from typing import Any

from potluck.evaluation.strong import StrongModel
from potluck.simulator.reply import Reply
from potluck.simulator.request import Message, ModelRequest, ResponseFormat, Tool
from tests.unit.evaluation.talks import (
    CALCULATOR,
    PLAN_TOOL,
    READ,
    TASKS,
    WRITE,
    Talk,
    named,
    tool,
)

STRONG = StrongModel(TASKS)
CHAIN = named("several-files-sum")
PLAN = named("plan-report")
THINKING = named("thinking-3")
VERDICT = Tool(
    "send_back",
    "",
    {
        "type": "object",
        "properties": {
            "verdict": {"enum": ["retry", "replan", "ask"], "type": "string"},
            "reason": {"type": "string"},
            "steps": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["verdict", "reason"],
    },
)
RESULTS = Tool(
    "submit_results",
    "",
    {"type": "object", "properties": {"results": {"type": "array", "items": {"type": "object"}}}},
)


def made(reply: Reply) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.args)) for call in reply.tool_calls]


def test_independent_calls_come_at_once_and_the_rest_when_their_results_are_there() -> None:
    talk = Talk(CHAIN.request, READ, CALCULATOR)
    first = STRONG(talk.request())
    assert made(first) == [
        ("read_file", {"path": "north.txt"}),
        ("read_file", {"path": "south.txt"}),
    ]
    talk.ran(*first.tool_calls, results=["amount: 5", "amount: 8"])
    second = STRONG(talk.request())
    assert made(second) == [("calculator", {"expression": "5 + 8"})]
    talk.ran(*second.tool_calls, results=["5 + 8 = 13"])
    assert STRONG(talk.request()).text == "The sum is 13."


def test_a_result_that_the_agent_loses_is_asked_for_again() -> None:
    talk = Talk(CHAIN.request, READ, CALCULATOR)
    first = STRONG(talk.request())
    talk.ran(*first.tool_calls, results=["amount: 5", "FileNotFoundError: no such file"])
    assert made(STRONG(talk.request())) == [("read_file", {"path": "south.txt"})]


def test_an_answer_without_the_facts_shows_that_they_are_missing() -> None:
    talk = Talk(CHAIN.request, READ, CALCULATOR)
    first = STRONG(talk.request())
    talk.ran(*first.tool_calls, results=["amount: 5", "amount: 8"])
    assert STRONG(talk.request(tools=())).text == "The sum is ?."


def test_calls_are_spelled_as_the_offered_tools_want_them() -> None:
    task = named("files-config")
    edit = tool("edit_file", "file_path", "old_string", "new_string")
    read = tool("read_file", "file_path")
    talk = Talk(task.request, read, edit)
    first = STRONG(talk.request())
    assert made(first) == [("read_file", {"file_path": "app.ini"})]
    talk.ran(*first.tool_calls, results=["port = 8080"])
    expected = {"file_path": "app.ini", "old_string": "port = 8080", "new_string": "port = 9443"}
    assert made(STRONG(talk.request())) == [("edit_file", expected)]


def test_a_plan_fits_the_form_that_it_is_asked_for() -> None:
    reply = STRONG(Talk(PLAN.request, PLAN_TOOL).request(tool_choice="submit_plan"))
    ((name, args),) = made(reply)
    assert name == "submit_plan"
    assert [step["goal"] for step in args["steps"]] == list(PLAN.goals)
    assert [step["needs"] for step in args["steps"]] == [[], [], [1, 2], [1, 2, 3]]
    texts = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
    }
    plain = STRONG(Talk(PLAN.request, Tool("Plan", "", texts)).request(tool_choice="Plan"))
    assert made(plain) == [("Plan", {"steps": list(PLAN.goals)})]


def test_a_plan_in_a_bound_answer_is_json() -> None:
    texts = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
    }
    form = ResponseFormat("json_schema", texts)
    reply = STRONG(Talk(PLAN.request).request(response_format=form))
    assert json.loads(reply.text) == {"steps": list(PLAN.goals)}


def test_a_plan_is_asked_for_only_by_tasks_that_have_one() -> None:
    planning = tool("make_plan", "why")
    assert STRONG(Talk(THINKING.request, planning).request()).tool_calls[0].name == "make_plan"
    assert STRONG(Talk("Hello! How are you today?", planning).request()).tool_calls == ()


def test_one_step_is_done_and_its_facts_are_told() -> None:
    text = f"The user's task:\n{PLAN.request}\n\nYour step:\n{PLAN.goals[0]}\nIt is done when: told"
    talk = Talk(text, READ, CALCULATOR, WRITE)
    first = STRONG(talk.request())
    assert made(first) == [("read_file", {"path": "east.txt"})]
    talk.ran(*first.tool_calls, results=["count: 7"])
    assert STRONG(talk.request()).text == "east = 7"


def test_a_step_builds_on_the_results_that_it_is_told() -> None:
    text = (
        f"{PLAN.request}\n\nResults you can build on:\n- {PLAN.goals[0]}: east = 7\n"
        f"- {PLAN.goals[1]}: west = 2\n\nYour step:\n{PLAN.goals[2]}\nAnswer with it alone."
    )
    assert made(STRONG(Talk(text, READ, CALCULATOR).request())) == [
        ("calculator", {"expression": "7 - 2"})
    ]


def test_a_step_that_is_told_nothing_looks_for_itself() -> None:
    goal = PLAN.goals[2]
    text = f"For the following plan:\n1. {goal}\n\nYou are tasked with executing step 1, {goal}."
    assert [name for name, _ in made(STRONG(Talk(text, READ, CALCULATOR).request()))] == [
        "read_file",
        "read_file",
    ]


def test_steps_that_share_a_request_are_all_answered() -> None:
    text = f"{THINKING.request}\n\n" + "\n\n".join(
        f"Step {n}: {goal}\nIt is done when: told" for n, goal in enumerate(THINKING.goals, start=1)
    )
    reply = STRONG(Talk(text, RESULTS).request(tool_choice="submit_results"))
    ((_, args),) = made(reply)
    assert args["results"] == [
        {"step": 1, "result": "tariff_a = 444"},
        {"step": 2, "result": "tariff_b = 380"},
        {"step": 3, "result": "tariff_c = 419.75"},
    ]


def report(*results: str) -> Talk:
    text = "\n\n".join(
        f"Step {n} (done): {goal}\nResult: {result}"
        for n, (goal, result) in enumerate(zip(THINKING.goals, results, strict=True), start=1)
    )
    return Talk(THINKING.request, VERDICT).told(text)


def test_the_answer_is_made_of_the_results_that_are_laid_before_it() -> None:
    good = report("tariff_a = 444", "tariff_b = 381", "tariff_c = 419.75")
    assert STRONG(good.request()).text == "A costs 444, B 381, C 419.75: B is the cheapest."


def test_work_with_a_result_missing_goes_back() -> None:
    reply = STRONG(report("tariff_a = 444", "Nothing.", "tariff_c = 419.75").request())
    ((name, args),) = made(reply)
    assert (name, args["verdict"], args["steps"]) == ("send_back", "retry", [2])


def test_a_replanner_is_told_what_is_left_or_the_answer() -> None:
    act = Tool(
        "Act",
        "",
        {
            "type": "object",
            "properties": {"action": {"anyOf": [{"$ref": "#/$defs/R"}, {"$ref": "#/$defs/P"}]}},
            "$defs": {
                "R": {"type": "object", "properties": {"response": {"type": "string"}}},
                "P": {
                    "type": "object",
                    "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
                },
            },
        },
    )

    def replan(*done: tuple[str, str]) -> Any:
        text = (
            f"Your objective was this:\n{THINKING.request}\nYou have done:\n{list(done)}\nUpdate."
        )
        request = Talk(text, act).request(tool_choice="Act")
        return made(STRONG(request))[0][1]["action"]

    first, second, third = THINKING.goals
    assert replan((first, "tariff_a = 444")) == {"steps": [second, third]}
    facts = ("tariff_a = 444", "tariff_b = 380", "tariff_c = 419.75")
    done = replan(*zip(THINKING.goals, facts, strict=True))
    assert done == {"response": "A costs 444, B 380, C 419.75: B is the cheapest."}


def test_what_belongs_to_no_task_is_answered_all_the_same() -> None:
    request = ModelRequest(provider="together", model="m", messages=(Message("user", "What?"),))
    assert "simulated" in STRONG(request).text
