"""The reflector: accept the work with the final answer, or send it back with what was learned."""

from typing import Literal

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, ValidationError

from graph.state import NOTHING_USED, Context, State, Step, Verdict
from nodes.budget import max_calls
from nodes.model import Ask, ask_model, usage_of
from nodes.progress import tell, tell_plan, tell_step
from nodes.structured import arguments
from potluck.events import VerdictEvent

REFLECTOR_PROMPT = """\
You are the reflector of Potluck. The steps below were done for the user's last request. If they
fulfil it, write the final answer for the user now: complete, in the user's language, built only on
these results, without mentioning steps or plans. Say honestly what could not be done."""

SEND_BACK_PROMPT = """\
If they do not fulfil it and another try can, call `send_back` and write nothing else: `retry` for
steps that must be done again, `replan` if the plan itself was wrong, `ask` if only the user can
tell what is missing."""

MAX_SEND_BACKS = 2
MAX_ATTEMPTS = 2


class send_back(BaseModel):  # noqa: N801 - the class name is the tool's name for the model
    """Send the work back instead of answering."""

    verdict: Literal["retry", "replan", "ask"]
    reason: str = Field(description="What is wrong, and what to do differently.")
    steps: list[int] = Field(default_factory=list, description="For retry: numbers of the steps.")
    question: str = Field(default="", description="For ask: the question to the user.")


async def reflector(state: State, runtime: Runtime[Context]) -> dict[str, object]:
    """Judge by rule where that is enough, else by a model whose acceptance is the answer."""
    tell_step("reflector", "Checking the work")
    plan = state.get("plan", [])
    spent = state.get("usage", NOTHING_USED)["calls"] >= max_calls(runtime.context)
    may_send_back = not spent and state.get("send_backs", 0) < MAX_SEND_BACKS
    by_rule = _by_rule(plan) if may_send_back else None
    if by_rule:
        return _send_back(by_rule, state)
    reply = await ask_model(
        Ask(
            node="reflector",
            prompt=f"{REFLECTOR_PROMPT}\n{SEND_BACK_PROMPT}" if may_send_back else REFLECTOR_PROMPT,
            messages=[*state["messages"], HumanMessage(_report(plan))],
            task_type=state.get("task_type", "general"),
            tools=(send_back,) if may_send_back else (),
            audience="user",
        ),
        runtime,
    )
    judged = _judged(reply, plan) if may_send_back and reply.tool_calls else None
    if judged:
        return _send_back(judged, state) | {"usage": usage_of(reply)}
    tell(VerdictEvent(type="verdict", verdict="accept", reason="The request is fulfilled."))
    answer = reply if not reply.tool_calls else AIMessage(_report(plan), id=reply.id)
    return {"verdict": "accept", "messages": [answer], "usage": usage_of(reply)}


def _by_rule(plan: list[Step]) -> send_back | None:
    """Failed steps with a try left go back without a call."""
    failed = [s["id"] for s in plan if s["status"] == "failed" and 0 < s["attempts"] < MAX_ATTEMPTS]
    if not failed:
        return None
    return send_back(verdict="retry", reason="It gave no usable result.", steps=failed)


def _judged(reply: AIMessage, plan: list[Step]) -> send_back | None:
    try:
        judged = send_back.model_validate(arguments(reply, send_back.__name__))
    except ValidationError:
        return None
    known = {step["id"] for step in plan}
    if judged.verdict == "retry":
        steps = [number for number in judged.steps if number in known] or sorted(known)
        return judged.model_copy(update={"steps": steps})
    return judged


def _send_back(judged: send_back, state: State) -> dict[str, object]:
    verdict: Verdict = judged.verdict
    tell(VerdictEvent(type="verdict", verdict=verdict, reason=judged.reason))
    update: dict[str, object] = {
        "verdict": verdict,
        "lessons": [*state.get("lessons", []), judged.reason],
        "send_backs": state.get("send_backs", 0) + 1,
    }
    if verdict == "ask":
        return update | {"messages": [AIMessage(judged.question or judged.reason)]}
    if verdict == "replan":
        return update
    plan = _reset(state.get("plan", []), set(judged.steps), judged.reason)
    tell_plan(plan)
    dropped = {str(step["id"]): None for step in plan if step["status"] == "todo"}
    return update | {"plan": plan, "work": dropped}


def _reset(plan: list[Step], again: set[int], reason: str) -> list[Step]:
    """The plan with these steps, and all that build on them, to be done again."""
    todo = set(again)
    steps: list[Step] = []
    for step in plan:
        if step["id"] in todo or todo.intersection(step["needs"]):
            todo.add(step["id"])
            feedback = reason if step["id"] in again else ""
            steps.append(Step(**{**step, "status": "todo", "result": "", "feedback": feedback}))
        else:
            steps.append(step)
    return steps


def _report(plan: list[Step]) -> str:
    lines = [
        f"Step {step['id']} ({step['status']}): {step['goal']}\nResult: {step['result']}"
        for step in plan
    ]
    return "\n\n".join(lines) or "No step was done."
