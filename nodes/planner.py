"""The planner: a few concrete steps, each with what it waits for and what counts as done."""

from typing import Literal, Self

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, model_validator

from graph.state import Context, State, Step
from nodes.model import Ask, usage_of
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

MAX_STEPS = 8


class PlannedStep(BaseModel):
    """One step of the plan."""

    goal: str = Field(min_length=3, description="What to do, concretely.")
    kind: Literal["think", "act"] = Field(
        default="act", description="`act` if it needs tools, `think` if not."
    )
    needs: list[int] = Field(
        default_factory=list,
        description="Numbers (from 1) of earlier steps whose results it needs.",
    )
    done_when: str = Field(default="", description="What counts as done.")


class submit_plan(BaseModel):  # noqa: N801 - the class name is the tool's name for the model
    """Hand in the plan."""

    steps: list[PlannedStep] = Field(min_length=1, max_length=MAX_STEPS)

    @model_validator(mode="after")
    def _needs_only_earlier_steps(self) -> Self:
        for number, step in enumerate(self.steps, start=1):
            if any(not 1 <= need < number for need in step.needs):
                raise ValueError(f"step {number} may only need steps 1 to {number - 1}")
        return self


async def planner(state: State, runtime: Runtime[Context]) -> dict[str, object]:
    """Make a plan, or after a failed one the rest of it, keeping what is finished."""
    finished = [step for step in state.get("plan", []) if step["status"] == "done"]
    lessons = state.get("lessons", [])
    tell_step("planner", "Planning again" if lessons else "Planning")
    plan, replies = await ask_structured(
        Ask(
            node="planner",
            prompt=_prompt(finished, lessons),
            messages=state["messages"],
            task_type="complex_reasoning",
            tools=(submit_plan,),
            tool_choice=submit_plan.__name__,
        ),
        submit_plan.__name__,
        submit_plan,
        runtime,
    )
    planned = plan.steps if plan else [_whole_task(state["messages"])]
    steps = [*finished, *_numbered(planned, after=max((s["id"] for s in finished), default=0))]
    tell_plan(steps)
    dropped = dict.fromkeys(state.get("work", {}))
    return {"plan": steps, "work": dropped, "usage": usage_of(*replies)}


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
    return PlannedStep(goal=request or "Answer the user", kind="act")
