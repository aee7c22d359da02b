"""The reflector: accept the work with the final answer, or send it back with what was learned."""

import re
from typing import Annotated, Literal

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from graph.state import NOTHING_USED, Context, Kept, State, Step, Verdict
from nodes.answer_form import form_of, trim_of
from nodes.budget import is_over, left_of
from nodes.checks import model_of
from nodes.contradictions import note_on, results_in
from nodes.endings import ENDING_PROMPTS
from nodes.history import recapped
from nodes.model import Ask, ask_model, usage_of
from nodes.plan_form import numbers_in
from nodes.progress import tell, tell_plan, tell_step
from nodes.reply_faults import announces
from nodes.structured import arguments
from potluck.events import VerdictEvent

REFLECTOR_PROMPT = """\
You are the reflector of Potluck. The steps below were done for the user's last request. If they
fulfil it, write the final answer for the user now: complete, in the user's language, built only on
these results, without mentioning steps or plans. Say honestly what could not be done, and where
results contradict each other."""

SEND_BACK_PROMPT = """\
If they do not fulfil it and another try can, call `send_back` and write nothing else: `retry` for
steps that must be done again, `replan` if the plan itself was wrong, `ask` if only the user can
tell what is missing."""

SAME_AGAIN_PROMPT = """\
Another try brought the same results. Answer with what there is, and say what is missing."""

MAX_SEND_BACKS = 2
# The verdict, a step once more, the answer
CALLS_FOR_ANOTHER_TRY = 3
LONGEST_REMARK_CHARS = 40
_SENDS_BACK = re.compile(
    r"\b(?:send\w* (?:it |this |the work )?back|send_back|again|retry\w*|re-?plan\w*|redo"
    r"|another try|start over)\b|やり直|もう一度|再度",
    re.IGNORECASE,
)


class send_back(BaseModel):  # noqa: N801 - the class name is the tool's name for the model
    """Send the work back instead of answering."""

    verdict: Literal["retry", "replan", "ask"]
    reason: str = Field(description="What is wrong, and what to do differently.")
    steps: Annotated[list[int], BeforeValidator(lambda given: list(numbers_in(given)))] = Field(
        default_factory=list, description="For retry: numbers of the steps."
    )
    question: str = Field(default="", description="For ask: the question to the user.")


async def reflector(state: State, runtime: Runtime[Context]) -> dict[str, object]:
    """Judge by rule where that is enough, else by a model whose acceptance is the answer."""
    tell_step("reflector", "Checking the work")
    context = runtime.context or Context()
    plan, left = state.get("plan", []), left_of(state, context)
    over = is_over(left, state.get("usage", NOTHING_USED))
    doubt = note_on(_sources(state))
    if not doubt and _is_answer(state, context):
        return _accepted(AIMessage(plan[0]["result"], response_metadata=_marks(state))) | {
            "left": left
        }
    same_again = _brought_the_same(plan)
    may_send_back = (
        not over
        and not same_again
        and left["calls"] >= CALLS_FOR_ANOTHER_TRY
        and state.get("send_backs", 0) < MAX_SEND_BACKS
    )
    facts = [
        SAME_AGAIN_PROMPT if same_again else "",
        ENDING_PROMPTS["budget"] if over and _is_unfinished(plan) else "",
        doubt,
    ]
    reply = await ask_model(
        Ask(
            node="reflector",
            prompt=f"{REFLECTOR_PROMPT}\n{SEND_BACK_PROMPT}" if may_send_back else REFLECTOR_PROMPT,
            messages=[
                *recapped(state["messages"], state.get("recap")),
                HumanMessage(_report(plan)),
            ],
            task_type=state.get("task_type", "general"),
            tools=(send_back,) if may_send_back else (),
            audience="user",
            facts="\n\n".join(part for part in facts if part),
            is_last=left["calls"] <= 1,
        ),
        runtime,
    )
    cost = usage_of(reply)
    judged = _judged(reply, plan) if may_send_back and reply.tool_calls else None
    if judged and _has_answered(reply, judged, plan):
        judged = None
    if judged:
        return _send_back(judged, state) | {"usage": cost}
    left["calls"] -= cost["calls"]
    left["tokens"] -= cost["input_tokens"] + cost["output_tokens"]
    text = str(reply.text).strip()
    answer = AIMessage(text or _best_answer(plan), id=reply.id) if reply.tool_calls else reply
    return _accepted(answer) | {"usage": cost, "left": left}


def _is_answer(state: State, context: Context) -> bool:
    """Whether the only step's result can go to the user as it is, by all rules."""
    plan = state.get("plan", [])
    if len(plan) != 1 or form_of(context) or trim_of(context) or state.get("send_backs", 0):
        return False
    transcript = state.get("work", {}).get(str(plan[0]["id"]), [])
    last_tool = next((m for m in reversed(transcript) if isinstance(m, ToolMessage)), None)
    went_well = last_tool is None or last_tool.status != "error"
    return plan[0]["status"] == "done" and not plan[0]["feedback"] and went_well


def _marks(state: State) -> dict[str, object]:
    """Who has answered, of the message that becomes the answer."""
    work = state.get("work", {}).values()
    last = next((m for t in work for m in reversed(t) if isinstance(m, AIMessage)), None)
    return dict(last.response_metadata) if last is not None else {}


def _accepted(answer: AIMessage) -> dict[str, object]:
    tell(VerdictEvent(type="verdict", verdict="accept", reason="The request is fulfilled."))
    return {"verdict": "accept", "messages": [answer]}


def _sources(state: State) -> list[tuple[str, str]]:
    """What tools and steps have told, each with where it is from."""
    told: list[tuple[str, str]] = []
    for step in state.get("plan", []):
        found = results_in(state.get("work", {}).get(str(step["id"]), []))
        told += [(f"{name} of step {step['id']}", text) for name, text in found]
        if not found and step["status"] == "done":
            told.append((f"step {step['id']}", step["result"]))
    return told


def _brought_the_same(plan: list[Step]) -> bool:
    """Whether steps that were sent back gave again what was not good enough."""
    again = [step for step in plan if step["attempts"] > 1 and step.get("rejected")]
    return bool(again) and all(step["result"] in step.get("rejected", []) for step in again)


def _is_unfinished(plan: list[Step]) -> bool:
    return any(step["status"] != "done" for step in plan)


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


def _has_answered(reply: AIMessage, judged: send_back, plan: list[Step]) -> bool:
    """Whether the words beside the verdict are the answer, which the user has seen by now.

    Where every step keeps its promise they are, unless they only tell of the verdict.
    """
    text = str(reply.text).strip()
    if len(text) > LONGEST_REMARK_CHARS and len(text) > 2 * len(judged.reason):
        return True
    is_sound = all(step["status"] == "done" and not step["feedback"] for step in plan)
    tells = text in judged.reason or text in judged.question or announces(text)
    return is_sound and bool(plan) and bool(text) and not tells and not _SENDS_BACK.search(text)


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
    plan = _reset(state, set(judged.steps), judged.reason)
    tell_plan(plan)
    dropped = {str(step["id"]): None for step in plan if step["status"] == "todo"}
    return update | {"plan": plan, "work": dropped}


def _reset(state: State, again: set[int], reason: str) -> list[Step]:
    """The plan with these steps, and all that build on them, to be done again by another model."""
    todo = set(again)
    steps: list[Step] = []
    for step in state.get("plan", []):
        if step["id"] in todo or todo.intersection(step["needs"]):
            todo.add(step["id"])
            fresh = Step(**{**step, "status": "todo", "result": "", "feedback": ""})
            if step["status"] == "done":
                fresh["kept"] = Kept(result=step["result"], fault=step["feedback"])
            if step["id"] in again:
                fresh["feedback"] = reason
                fresh["rejected"] = [*step.get("rejected", []), step["result"]]
                fresh["avoid"] = _author(state, step)
            steps.append(fresh)
        else:
            steps.append(step)
    return steps


def _author(state: State, step: Step) -> str:
    transcript = state.get("work", {}).get(str(step["id"]), [])
    last = next((m for m in reversed(transcript) if isinstance(m, AIMessage)), None)
    return model_of(last) if last is not None else ""


def _report(plan: list[Step]) -> str:
    lines = [
        f"Step {step['id']} ({step['status']}): {step['goal']}\nResult: {step['result']}"
        + (f"\nDoubt: {step['feedback']}" if step["feedback"] else "")
        for step in plan
    ]
    return "\n\n".join(lines) or "No step was done."


def _best_answer(plan: list[Step]) -> str:
    """The results on which no other builds, and what was not done."""
    needed = {need for step in plan for need in step["needs"] if step["status"] == "done"}
    done = [s["result"] for s in plan if s["status"] == "done" and s["id"] not in needed]
    missing = [f"- {s['goal']}: {s['result']}" for s in plan if s["status"] == "failed"]
    parts = [
        *dict.fromkeys(done),
        *(["What could not be done:\n" + "\n".join(missing)] if missing else []),
    ]
    return "\n\n".join(parts) or "Nothing of this could be done."
