"""Agents of other makers on Potluck's tasks, in an environment of their own.

Started with one argument, JSON: `contender`, `stage` (where tasks and tools are), `model_url`.
"""

import asyncio
import json
import operator
import sys
from typing import Annotated, Any, TypedDict

import httpx
from deepagents import create_deep_agent
from deepagents.backends import FilesystemBackend
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import StructuredTool, ToolException
from langchain_openai import ChatOpenAI
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, Field

MODEL = "openai/gpt-oss-20b"
TOOL_TIMEOUT_S = 90.0
PROMPT = "You are a helpful assistant. Use the tools where they help."
# deepagents brings file tools of its own, on the same folder.
OWN_FILE_TOOLS = {"list_files", "read_file", "write_file", "edit_file", "search_files"}


def build_model(url: str) -> ChatOpenAI:
    """The scripted model, as any provider of the OpenAI kind; one try, as errors are no chance."""
    return ChatOpenAI(model=MODEL, base_url=url, api_key="simulated-key", max_retries=0)


async def load_tools(client: httpx.AsyncClient) -> list[StructuredTool]:
    """The stage's tools; an error comes back as a result, as in Potluck."""
    return [_tool(one, client) for one in (await client.get("/tools")).json()]


def _tool(told: dict[str, Any], client: httpx.AsyncClient) -> StructuredTool:
    async def run(**args: Any) -> str:
        answer = await client.post("/call", json={"name": told["name"], "args": args})
        result = answer.json()
        if not result["ok"]:
            raise ToolException(result["text"])
        return result["text"]

    return StructuredTool(
        name=told["name"],
        description=told["description"],
        args_schema=told["parameters"],
        coroutine=run,
        handle_tool_error=True,
    )


class Plan(BaseModel):
    """Plan to follow in future."""

    steps: list[str] = Field(description="different steps to follow, should be in sorted order")


class Response(BaseModel):
    """Response to user."""

    response: str


class Act(BaseModel):
    """Action to perform."""

    action: Response | Plan = Field(
        description="Action to perform. If you want to respond to user, use Response. "
        "If you need to further use tools to get the answer, use Plan."
    )


class PlanExecute(TypedDict):
    """What the example's graph keeps."""

    input: str
    plan: list[str]
    past_steps: Annotated[list[tuple], operator.add]
    response: str


# The prompts of LangGraph's plan-and-execute example.
PLANNER = """For the given objective, come up with a simple step by step plan. \
This plan should involve individual tasks, that if executed correctly will yield the correct \
answer. Do not add any superfluous steps. The result of the final step should be the final answer. \
Make sure that each step has all the information needed - do not skip steps."""

REPLANNER = """For the given objective, come up with a simple step by step plan. \
This plan should involve individual tasks, that if executed correctly will yield the correct \
answer. Do not add any superfluous steps. The result of the final step should be the final answer. \
Make sure that each step has all the information needed - do not skip steps.

Your objective was this:
{input}

Your original plan was this:
{plan}

You have currently done the follow steps:
{past_steps}

Update your plan accordingly. If no more steps are needed and you can return to the user, then \
respond with that. Otherwise, fill out the plan. Only add steps to the plan that still NEED to be \
done. Do not return previously done steps as part of the plan."""


def plan_and_execute(model: ChatOpenAI, tools: list[StructuredTool]) -> Any:
    """LangGraph's example, with function calling, which free models have."""
    executor = create_agent(model, tools, system_prompt="You are a helpful assistant.")
    first = ChatPromptTemplate.from_messages([("system", PLANNER), ("placeholder", "{messages}")])
    planner = first | model.with_structured_output(Plan, method="function_calling")
    again = ChatPromptTemplate.from_template(REPLANNER)
    replanner = again | model.with_structured_output(Act, method="function_calling")

    async def plan_step(state: PlanExecute) -> dict:
        plan = await planner.ainvoke({"messages": [("user", state["input"])]})
        return {"plan": plan.steps}

    async def execute_step(state: PlanExecute) -> dict:
        plan = state["plan"]
        shown = "\n".join(f"{i + 1}. {step}" for i, step in enumerate(plan))
        task = (
            f"For the following plan:\n{shown}\n\nYou are tasked with executing step 1, {plan[0]}."
        )
        answer = await executor.ainvoke({"messages": [("user", task)]})
        return {"past_steps": [(plan[0], answer["messages"][-1].content)]}

    async def replan_step(state: PlanExecute) -> dict:
        output = await replanner.ainvoke(state)
        if isinstance(output.action, Response):
            return {"response": output.action.response}
        return {"plan": output.action.steps}

    def should_end(state: PlanExecute) -> str:
        return END if state.get("response") else "agent"

    graph = StateGraph(PlanExecute)
    graph.add_node("planner", plan_step)
    graph.add_node("agent", execute_step)
    graph.add_node("replan", replan_step)
    graph.add_edge(START, "planner")
    graph.add_edge("planner", "agent")
    graph.add_edge("agent", "replan")
    graph.add_conditional_edges("replan", should_end, ["agent", END])
    return graph.compile()


async def play(
    contender: str, model: ChatOpenAI, tools: list[StructuredTool], job: dict
) -> dict[str, Any]:
    """The contender's answer to the job's request, and its calls of tools of its own."""
    request = job["request"]
    asked = {"messages": [("user", request)]}
    match contender:
        case "create_agent":
            agent = create_agent(model, tools, system_prompt=PROMPT)
        case "deepagents":
            backend = FilesystemBackend(root_dir=job["workspace"], virtual_mode=True)
            others = [tool for tool in tools if tool.name not in OWN_FILE_TOOLS]
            agent = create_deep_agent(model, others, system_prompt=PROMPT, backend=backend)
        case _:
            done = await plan_and_execute(model, tools).ainvoke(
                {"input": request}, {"recursion_limit": 50}
            )
            return {"answer": str(done["response"])}
    messages = (await agent.ainvoke(asked))["messages"]
    return {
        "answer": str(messages[-1].text),
        "own_calls": _own_calls(messages) if contender == "deepagents" else [],
    }


def _own_calls(messages: list[AnyMessage]) -> list[dict[str, Any]]:
    """The calls of file tools, which the stage has not seen."""
    results = {m.tool_call_id: m.status for m in messages if isinstance(m, ToolMessage)}
    calls = [call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls]
    return [
        {"name": call["name"], "args": call["args"], "ok": results.get(call["id"]) == "success"}
        for call in calls
        if call["name"] in OWN_FILE_TOOLS | {"ls", "grep"}
    ]


async def main(given: dict[str, str]) -> None:
    """Play every job that the stage has, until it is gone."""
    model = build_model(given["model_url"])
    async with httpx.AsyncClient(base_url=given["stage"], timeout=TOOL_TIMEOUT_S) as client:
        tools = await load_tools(client)
        print("ready", flush=True)
        while True:
            job = (await client.get("/job")).json()
            if not job:
                continue
            told: dict[str, Any] = {
                "answer": "", "ending": "answered", "error": "", "own_calls": []
            }  # fmt: skip
            try:
                told |= await play(given["contender"], model, tools, job)
            except GraphRecursionError as error:
                told |= {"ending": "loop", "error": str(error)}
            except Exception as error:  # noqa: BLE001 - that a run ends in an error is a finding
                told |= {"ending": "error", "error": f"{type(error).__name__}: {error}"[:500]}
            await client.post("/done", json=told)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
