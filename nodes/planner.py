"""The planner: a few concrete steps, each with what it waits for and what counts as done."""

from functools import partial

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.runtime import Runtime

from graph.state import Context, State, Step
from nodes.budget import CALLS_FOR_A_PLAN, left_of
from nodes.history import recapped
from nodes.model import Ask, usage_of
from nodes.plan_form import MAX_STEPS, PlannedStep, condensed, read_plan, renumbered, submit_plan
from nodes.progress import tell_plan, tell_step
from nodes.structured import ask_structured

PLANNER_PROMPT = """\
You are the planner of Potluck. Break the user's task into the fewest concrete steps, normally three
to five, and hand them in with `submit_plan`. Each step says what to do (not how you think), whether
it acts with tools (`act`) or only thinks (`think`), the numbers of the earlier steps whose results
it needs, and what counts as done. Steps that need nothing of each other run side by side. Do not
add a step that only writes the final answer: that is done for you."""

REPLAN_PROMPT = """\
An earlier plan did not work. Finished steps and their results are kept and must not be repeated;
give only the steps that are still to do. What went wrong:
{lessons}
Finished so far:
{finished}"""


async def planner(state: State, runtime: Runtime[Context]) -> dict[str, object]:
    """Make a plan, or after a failed one the rest of it, keeping what is finished.

    What triage's model has written of a first plan is taken where it can be, without a call.
    """
    finished = [step for step in state.get("plan", []) if step["status"] == "done"]
    lessons = state.get("lessons", [])
    after = max((step["id"] for step in finished), default=0)
    tell_step("planner", "Planning again" if lessons else "Planning")
    left = left_of(state, runtime.context)["calls"]
    planned, replies = _drafted(state), list[AIMessage]()
    if planned is None and left >= CALLS_FOR_A_PLAN:
        planned, replies = await ask_structured(
            Ask(
                node="planner",
                prompt=_prompt(finished, lessons),
                messages=recapped(state["messages"], state.get("recap")),
                task_type="complex_reasoning",
                tools=(submit_plan,),
                tool_choice=submit_plan.__name__,
            ),
            submit_plan.__name__,
            partial(read_plan, after=after),
            runtime,
        )
    new = renumbered(planned, [s["goal"] for s in finished]) if planned else []
    if not new and not finished:
        new = [_whole_task(state["messages"])]
    # One call is kept for the answer.
    new = condensed(new, max(1, min(MAX_STEPS, left - len(replies) - 1)))
    steps = [*finished, *_numbered(new, after=after)]
    tell_plan(steps)
    dropped = dict.fromkeys(state.get("work", {}))
    return {"plan": steps, "work": dropped, "usage": usage_of(*replies)}


def _drafted(state: State) -> list[PlannedStep] | None:
    """The plan of triage's model; None when this is another plan, or there is none to be read."""
    if state.get("plan") or state.get("lessons"):
        return None
    try:
        return read_plan(state.get("draft"))
    except ValueError:
        return None


def _prompt(finished: list[Step], lessons: list[str]) -> str:
    if not lessons:
        return PLANNER_PROMPT
    results = "\n".join(f"- {step['goal']}: {step['result']}" for step in finished) or "- nothing"
    again = REPLAN_PROMPT.format(lessons="\n".join(f"- {x}" for x in lessons), finished=results)
    return f"{PLANNER_PROMPT}\n\n{again}"


def _numbered(planned: list[PlannedStep], *, after: int) -> list[Step]:
    return [
        Step(
            id=after + number,
            goal=step.goal,
            kind=step.kind,
            needs=[after + need for need in step.needs],
            first=after + 1,
            done_when=step.done_when,
            status="todo",
            result="",
            feedback="",
            attempts=0,
        )
        for number, step in enumerate(planned, start=1)
    ]


def _whole_task(messages: list[AnyMessage]) -> PlannedStep:
    """The plan when no model could give one: the whole task as a single step."""
    request = next((str(m.text) for m in reversed(messages) if isinstance(m, HumanMessage)), "")
    return PlannedStep.model_construct(goal=request or "Answer the user")
