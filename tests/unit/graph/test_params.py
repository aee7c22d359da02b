"""What a caller may ask for, and how it reaches the models."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import TypeAdapter, ValidationError

from graph.agent import graph
from graph.params import MAX_CLIENT_TOOLS_BYTES, MAX_SCHEMA_BYTES
from graph.state import FOR_CLIENT, Context
from potluck.errors import PotluckError
from potluck.providers.trim import Trim

pytestmark = pytest.mark.usefixtures("engine")

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
CONTEXT = TypeAdapter(Context)
LONG_TASK = HumanMessage("Compare both, then plan the work step by step")


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {}, **more}}


def say(text: str) -> AIMessage:
    counted: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    return AIMessage(text, usage_metadata=counted)


def call(*names: str, text: str = "") -> AIMessage:
    calls = [{"name": name, "args": {}, "id": uuid4().hex} for name in names]
    return AIMessage(text, tool_calls=calls)


async def run(*messages: Any, **context: Any) -> dict[str, Any]:
    made: Any = CONTEXT.validate_python(context)
    asked = list(messages) or [HumanMessage("do it")]
    return await graph.ainvoke({"messages": asked}, context=made)


async def test_the_choice_of_words_goes_to_every_call(chain: Any) -> None:
    chain.script = [call("current_time"), say("noon")]
    await run(params={"temperature": 0.3, "seed": 7, "max_tokens": 5})
    assert [made.params for made, _ in chain.calls] == [{"temperature": 0.3, "seed": 7}] * 2


async def test_only_the_answer_is_cut_and_never_a_tool_call(chain: Any) -> None:
    plan = {"steps": [{"goal": "Think about it", "kind": "think"}]}
    chain.script = [
        AIMessage("", tool_calls=[{"name": "make_plan", "args": {"why": "x"}, "id": "1"}]),
        AIMessage("", tool_calls=[{"name": "submit_plan", "args": plan, "id": "2"}]),
        say("thought"),
        say("answer"),
    ]
    await run(LONG_TASK, params={"max_tokens": 5, "stop": ["END"]})
    trims = [made.trim for made, _ in chain.calls]
    assert trims == [Trim(5, ("END",)), None, None, Trim(5, ("END",))]
    assert all("max_tokens" not in made.params for made, _ in chain.calls if made.tools)


async def test_a_call_without_tools_need_not_make_what_is_cut_off(chain: Any) -> None:
    chain.script = [call("current_time"), say("noon")]
    await run(params={"max_tokens": 5}, max_calls=2)
    made = chain.calls[1][0]
    assert not made.tools
    assert made.params["max_tokens"] > 5


async def test_an_answer_in_form_is_asked_for_and_left_alone(chain: Any) -> None:
    chain.script = [say('{"city": "Paris"}')]
    state = await run(params={"response_format": FORM})
    assert state["messages"][-1].text == '{"city": "Paris"}'
    assert '"city"' in chain.prompt(0)
    assert state["usage"]["calls"] == 1


async def test_slips_in_the_form_are_mended_without_a_call(chain: Any) -> None:
    chain.script = [say("```json\n{'city': 'Paris',}\n```")]
    state = await run(params={"response_format": FORM})
    assert state["messages"][-1].text == '{"city": "Paris"}'


async def test_an_answer_out_of_form_is_mended_with_one_bound_call(chain: Any) -> None:
    chain.script = [say("It is Paris."), say('{"city": "Paris"}')]
    state = await run(params={"response_format": FORM, "temperature": 0.1})
    assert state["messages"][-1].text == '{"city": "Paris"}'
    assert len(state["messages"]) == 2
    mend, asked = chain.calls[1]
    assert (mend.params["response_format"], mend.tools) == (FORM, ())
    assert "It is Paris." in asked[-1].text
    used = state["usage"]
    assert (used["calls"], used["input_tokens"], used["output_tokens"]) == (2, 20, 10)


async def test_tools_are_used_before_the_answer_is_in_form(chain: Any) -> None:
    chain.script = [call("current_time", text="Let me see"), say('{"city": "Paris"}')]
    state = await run(params={"response_format": FORM})
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]


async def test_an_answer_that_cannot_be_mended_fails_with_the_reason(chain: Any) -> None:
    chain.script = [say("Paris"), say('{"town": "Paris"}')]
    with pytest.raises(PotluckError, match=r"response_format.*city"):
        await run(params={"response_format": FORM})


async def test_without_an_llm_the_form_is_refused_with_the_reason(chain: Any) -> None:
    chain.script = [AIMessage("Offline answer", response_metadata={"model_provider": "offline"})]
    with pytest.raises(PotluckError, match="needs an LLM"):
        await run(params={"response_format": FORM})


async def test_any_json_object_will_do_for_json_object(chain: Any) -> None:
    chain.script = [say("[1]"), say('{"a": 1}')]
    state = await run(params={"response_format": {"type": "json_object"}})
    assert state["messages"][-1].text == '{"a": 1}'


async def test_a_call_of_the_clients_tool_ends_the_run(chain: Any) -> None:
    chain.script = [call("open_door", text="Opening")]
    state = await run(client_tools=[tool("open_door")])
    last = state["messages"][-1]
    assert [made["name"] for made in last.tool_calls] == ["open_door"]
    assert last.response_metadata[FOR_CLIENT]
    names = {one["function"]["name"] for one in chain.calls[0][0].tools if isinstance(one, dict)}
    assert names == {"open_door"}
    assert "calculator" in chain.tool_names(0)


async def test_our_calls_beside_the_clients_are_dropped(chain: Any) -> None:
    chain.script = [call("current_time", "open_door", "close_door")]
    state = await run(client_tools=[tool("open_door"), tool("close_door")])
    names = [made["name"] for made in state["messages"][-1].tool_calls]
    assert names == ["open_door", "close_door"]
    assert state["usage"]["tool_calls"] == 0


async def test_the_client_may_call_after_our_own_tools(chain: Any) -> None:
    chain.script = [call("current_time"), call("open_door")]
    state = await run(client_tools=[tool("open_door")])
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][-1].response_metadata[FOR_CLIENT]


async def test_the_clients_result_goes_on_with_the_conversation(chain: Any) -> None:
    calling = AIMessage("", tool_calls=[{"name": "open_door", "args": {}, "id": "1"}])
    chain.script = [say("It is open.")]
    result = ToolMessage("opened", tool_call_id="1")
    state = await run(HumanMessage("Open"), calling, result, client_tools=[tool("open_door")])
    assert state["messages"][-1].text == "It is open."
    assert chain.calls[0][1][-1].text == "opened"


async def test_of_two_tools_with_one_name_the_clients_is_offered(chain: Any) -> None:
    chain.script = [call("calculator")]
    state = await run(client_tools=[tool("calculator"), tool("make_plan")])
    assert state["messages"][-1].response_metadata[FOR_CLIENT]
    assert not {"calculator", "make_plan"} & chain.tool_names(0)


async def test_the_clients_tool_called_like_our_planner_makes_no_plan(chain: Any) -> None:
    chain.script = [call("make_plan")]
    state = await run(client_tools=[tool("make_plan")])
    assert [made["name"] for made in state["messages"][-1].tool_calls] == ["make_plan"]


async def test_steps_of_a_plan_are_not_offered_the_clients_tools(chain: Any) -> None:
    plan = {"steps": [{"goal": "Do something", "kind": "act"}]}
    chain.script = [
        AIMessage("", tool_calls=[{"name": "make_plan", "args": {"why": "x"}, "id": "1"}]),
        AIMessage("", tool_calls=[{"name": "submit_plan", "args": plan, "id": "2"}]),
        say("The door is blue."),
    ]
    await run(LONG_TASK, client_tools=[tool("open_door")])
    assert not any(isinstance(one, dict) for one in chain.calls[2][0].tools)


@pytest.mark.parametrize(
    ("choice", "forced"), [("required", "any"), ("open_door", "open_door"), ("other", None)]
)
async def test_the_clients_choice_holds_for_the_first_call(
    chain: Any, choice: str, forced: str | None
) -> None:
    chain.script = [call("open_door")]
    await run(client_tools=[tool("open_door")], client_tool_choice=choice)
    assert chain.calls[0][0].tool_choice == forced
    if choice == "required":
        assert len(chain.calls[0][0].tools) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"params": {"temperature": 3}},
        {"params": {"top_p": -1}},
        {"params": {"max_tokens": 0}},
        {"params": {"stop": [""]}},
        {"params": {"stop": ["a", "b", "c", "d", "e"]}},
        {"params": {"response_format": {"type": "yaml"}}},
        {"params": {"response_format": {"type": "json_schema"}}},
        {"params": {"response_format": {**FORM, "json_schema": {"schema": {"type": "objct"}}}}},
        {"params": {"response_format": {**FORM, "json_schema": {"schema": {"$ref": "http://x"}}}}},
        {
            "params": {
                "response_format": {
                    **FORM,
                    "json_schema": {"schema": {"title": "x" * MAX_SCHEMA_BYTES}},
                }
            }
        },
        {"client_tools": [{"type": "function"}]},
        {"client_tools": [tool("a b")]},
        {"client_tools": [tool("a"), tool("a")]},
        {"client_tools": [tool("a", description="x" * MAX_CLIENT_TOOLS_BYTES)]},
        {"client_tools": [tool(f"t{n}") for n in range(129)]},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CONTEXT.validate_python(wrong)
