"""The executor: starts the steps that are ready, and settles those whose work has ended."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from graph.state import Batch, Context, State, Step
from nodes.assignment import batches_of, step_request
from nodes.progress import tell_plan, tell_step
from nodes.sight import newest_images
from potluck import engine


async def executor(state: State, runtime: Runtime[Context]) -> dict[str, object]:  # noqa: ARG001 - nodes share one signature
    """Settle finished steps and start every step whose needs are met, those that can together.

    A step whose batch brought it no result is still in work, and goes to a model of its own.
    """
    plan = state.get("plan", [])
    if not plan:
        return {}
    settled = {step["id"]: _settle(step, state) for step in plan}
    task = next((str(m.text) for m in reversed(state["messages"]) if m.type == "human"), "")
    images = newest_images(state["messages"])
    started: dict[str, list[AnyMessage]] = {}
    for step in settled.values():
        if step["status"] == "todo" and all(settled[n]["status"] == "done" for n in step["needs"]):
            settled[step["id"]] = Step(**{**step, "status": "doing"})
            started[str(step["id"])] = [_request(step_request(step, settled, task), images)]
        elif step["status"] == "todo" and any(
            settled[n]["status"] == "failed" for n in step["needs"]
        ):
            settled[step["id"]] = Step(**{**step, "status": "failed", "result": NEEDS_FAILED})
    steps = list(settled.values())
    if steps != plan:
        tell_plan(steps)
    for key in started:
        tell_step("executor", f"Step {key}: {settled[int(key)]['goal']}")
    # A batch is text alone.
    alike = [] if images else [settled[int(key)] for key in started]
    batches = await _batches(alike, settled, task)
    return {"plan": steps, "work": started, "batches": batches}


def _request(text: str, images: Sequence[dict[str, object]]) -> HumanMessage:
    """What a step's worker is told, and the images that the task is about."""
    return HumanMessage([{"type": "text", "text": text}, *images] if images else text)


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


async def _batches(started: Sequence[Step], plan: Mapping[int, Step], task: str) -> list[Batch]:
    policy = (await engine.current()).catalog.optimization
    if not policy.batch_processing or len(started) < 2:
        return []
    return batches_of(started, plan, task, most=policy.max_batch_size)
