"""The executor: starts the steps that are ready, and settles those whose work has ended."""

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from graph.state import Context, State, Step
from nodes.progress import tell_plan, tell_step

STEP_PROMPT = """\
The user's task, for context:
{task}

{results}Your step, and only this:
{goal}
It is done when: {done_when}{feedback}
Answer with the result of this step alone."""


async def executor(state: State, runtime: Runtime[Context]) -> dict[str, object]:  # noqa: ARG001 - nodes share one signature
    """Settle finished steps and start every step whose needs are met."""
    plan = state.get("plan", [])
    if not plan:
        return {}
    settled = {step["id"]: _settle(step, state) for step in plan}
    started: dict[str, list[AnyMessage]] = {}
    for step in settled.values():
        if step["status"] == "todo" and all(settled[n]["status"] == "done" for n in step["needs"]):
            settled[step["id"]] = Step(**{**step, "status": "doing"})
            started[str(step["id"])] = [_assignment(step, settled, state)]
        elif step["status"] == "todo" and any(
            settled[n]["status"] == "failed" for n in step["needs"]
        ):
            settled[step["id"]] = Step(**{**step, "status": "failed", "result": NEEDS_FAILED})
    steps = list(settled.values())
    if steps != plan:
        tell_plan(steps)
    for key in started:
        tell_step("executor", f"Step {key}: {settled[int(key)]['goal']}")
    return {"plan": steps, "work": started}


NEEDS_FAILED = "A step whose result this one needs has failed."


def _settle(step: Step, state: State) -> Step:
    """A step in work whose transcript ends in an answer is done; an empty one has failed."""
    transcript = state.get("work", {}).get(str(step["id"]), [])
    last = transcript[-1] if transcript else None
    if step["status"] != "doing" or not isinstance(last, AIMessage) or last.tool_calls:
        return step
    text = str(last.text).strip()
    return Step(
        **{
            **step,
            "status": "done" if text else "failed",
            "result": text or "The model gave no result.",
            "attempts": step["attempts"] + 1,
        }
    )


def _assignment(step: Step, settled: dict[int, Step], state: State) -> HumanMessage:
    task = next((str(m.text) for m in reversed(state["messages"]) if m.type == "human"), "")
    # What an earlier plan has finished is there for every step of the next one.
    known = {s["id"] for s in settled.values() if s["id"] < step["first"] and s["status"] == "done"}
    usable = [settled[number] for number in sorted(known.union(step["needs"]))]
    needed = "\n".join(f"- {s['goal']}: {s['result']}" for s in usable)
    return HumanMessage(
        STEP_PROMPT.format(
            task=task,
            results=f"Results you can build on:\n{needed}\n\n" if needed else "",
            goal=step["goal"],
            done_when=step["done_when"] or "the result is there",
            feedback=f"\nThe last try was not good enough: {step['feedback']}"
            if step["feedback"]
            else "",
        )
    )
