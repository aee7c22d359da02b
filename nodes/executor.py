"""The executor: starts the steps that are ready, and settles those whose work has ended."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from langchain_core.messages import AnyMessage, HumanMessage, RemoveMessage
from langgraph.config import get_config
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.runtime import Runtime

from graph.state import NOTHING_USED, Batch, Context, State, Step
from nodes.assignment import TRY_AGAIN, batches_of, step_request
from nodes.budget import is_over, left_of
from nodes.checks import Surroundings, names_files
from nodes.progress import tell_left, tell_plan, tell_step
from nodes.settling import (
    OUT_OF_BUDGET,
    cut_short,
    has_tool_results,
    settle,
    waits_for_model,
    without_more,
)
from nodes.sight import newest_images
from potluck import engine
from tools.workspace import Workspace, folder_of

NEEDS_FAILED = "A step whose result this one needs has failed."


async def executor(state: State, runtime: Runtime[Context]) -> dict[str, object]:
    """Settle finished steps and start every step whose needs are met, those that can together.

    A result that does not keep what its step promised is tried for again, another way. A step whose
    batch brought it no result is still in work, and goes to a model of its own. What the budget
    does not allow is not begun, and one call is kept for the answer.
    """
    plan, left = state.get("plan", []), left_of(state, runtime.context)
    tell_left(left)
    if not plan:
        return {"left": left}
    work, usage = state.get("work", {}), state.get("usage", NOTHING_USED)
    affordable = 0 if is_over(left, usage) else left["calls"] - 1
    task = next((str(m.text) for m in reversed(state["messages"]) if m.type == "human"), "")
    around = Surroundings(
        task,
        others={step["id"]: step["result"] for step in plan if step["status"] == "done"},
        files=await _files() if any(map(names_files, plan)) else (),
    )
    settled: dict[int, Step] = {}
    for step in plan:
        settled[step["id"]] = settle(step, work.get(str(step["id"]), []), around)
    in_work = [step for step in settled.values() if step["status"] == "doing"]
    asking = [step for step in in_work if waits_for_model(work[str(step["id"])])]
    for step in asking[affordable:]:
        settled[step["id"]] = cut_short(step, work[str(step["id"])])
    ready = _ready(settled)
    images = newest_images(state["messages"])
    # A batch is text alone.
    alike = [] if images else ready
    ready, batches = await _affordable(ready, alike, settled, task, affordable - len(in_work))
    started: dict[str, list[AnyMessage | RemoveMessage]] = {}
    for step in ready:
        key = str(step["id"])
        settled[step["id"]] = Step(**{**step, "status": "doing"})
        started[key] = _opening(step, work.get(key, []), settled, task, images)
    if not any(step["status"] == "doing" for step in settled.values()):
        _give_up(settled)
    steps = list(settled.values())
    if steps != plan:
        tell_plan(steps)
    for step in ready:
        again = " again" if step["attempts"] else ""
        tell_step("executor", f"Step {step['id']}{again}: {step['goal']}", step["id"])
    return {"plan": steps, "work": started, "batches": batches, "left": left}


def _ready(settled: dict[int, Step]) -> list[Step]:
    """The steps that can begin; those that never can have failed, or keep an earlier result."""
    ready: list[Step] = []
    for step in list(settled.values()):
        if step["status"] != "todo":
            continue
        needs = {settled[need]["status"] for need in step["needs"] if need in settled}
        if "failed" in needs:
            settled[step["id"]] = without_more(step, NEEDS_FAILED)
        elif needs <= {"done"}:
            ready.append(step)
    return ready


async def _affordable(
    ready: list[Step], alike: list[Step], plan: Mapping[int, Step], task: str, most: int
) -> tuple[list[Step], list[Batch]]:
    """As many of the steps as can begin with `most` calls, and those of them that share one."""
    policy = (await engine.current()).catalog.optimization
    for count in range(len(ready), 0, -1):
        begun = ready[:count]
        together = [step for step in alike if step in begun]
        batches: list[Batch] = []
        if policy.batch_processing and len(together) > 1:
            batches = batches_of(together, plan, task, most=policy.max_batch_size)
        shared = sum(len(batch["steps"]) for batch in batches)
        if len(batches) + count - shared <= most:
            return begun, batches
    return [], []


def _opening(
    step: Step,
    transcript: Sequence[AnyMessage],
    plan: Mapping[int, Step],
    task: str,
    images: Sequence[dict[str, object]],
) -> list[AnyMessage | RemoveMessage]:
    """What a step's worker is told; after a try that had results of tools, it goes on with them."""
    if step["attempts"] and step["feedback"] and has_tool_results(transcript):
        return [HumanMessage(TRY_AGAIN.format(feedback=step["feedback"]))]
    text = step_request(step, plan, task)
    request = HumanMessage([{"type": "text", "text": text}, *images] if images else text)
    return [RemoveMessage(id=REMOVE_ALL_MESSAGES), request] if transcript else [request]


def _give_up(settled: dict[int, Step]) -> None:
    """Steps that are not begun when nothing is in work never will be; an earlier result stands."""
    for step in list(settled.values()):
        if step["status"] == "todo":
            settled[step["id"]] = without_more(step, OUT_OF_BUDGET)


async def _files() -> Sequence[str]:
    """The files of the run's workspace."""
    home = (await engine.current()).home
    thread_id = str(get_config().get("configurable", {}).get("thread_id") or "default")
    return await asyncio.to_thread(_listed, folder_of(home, thread_id))


def _listed(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [entry.path for entry in Workspace(folder).entries() if entry.size_bytes is not None]
