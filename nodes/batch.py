"""The batch node: several steps that need only thinking, answered with one call."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, ValidationError

from graph.state import BatchTask, Context
from nodes.model import Ask, ask_model, usage_of
from nodes.progress import tell_step
from potluck.providers.answers import reason_in

BATCH_PROMPT = """\
You are the executor of Potluck, an agent that gets work done. Do each of the given steps, for
itself and in full, as if it were the only one, and hand in all their results with one call of
`submit_results`, each under the number of its step, in the language of the user. Leave out a step
that cannot be done by thinking alone: it is done with tools afterwards."""

_KEPT_MARKS = ("model_provider", "model_name")
_CUT = frozenset({"length", "max_tokens"})


class StepResult(BaseModel):
    """The result of one step."""

    step: int = Field(description="The step's number.")
    result: str = Field(min_length=1, description="Its whole result, as plain text.")


class submit_results(BaseModel):  # noqa: N801 - the class name is the tool's name for the model
    """Hand in the results of the steps."""

    results: list[StepResult]


async def batch(state: BatchTask, runtime: Runtime[Context]) -> dict[str, object]:
    """Ask once for the results of all steps; one that gets none is left to be done alone."""
    steps = state["steps"]
    tell_step("batch", f"Thinking about steps {_listed(steps)} together", *steps)
    reply = await ask_model(
        Ask(
            node="batch",
            prompt=BATCH_PROMPT,
            messages=[HumanMessage(state["request"])],
            task_type=state["task_type"],
            tools=(submit_results,),
            tool_choice=submit_results.__name__,
            parts=len(steps),
        ),
        runtime,
    )
    results = results_in(reply, steps)
    missing = [step for step in steps if step not in results]
    if missing:
        each = "each by itself" if len(missing) > 1 else "by itself"
        tell_step("batch", f"Still to be done {each}: {_listed(missing)}", *missing)
    marks = {key: reply.response_metadata.get(key) for key in _KEPT_MARKS}
    work = {
        str(step): [AIMessage(result, response_metadata=dict(marks))]
        for step, result in results.items()
    }
    return {"work": work, "usage": usage_of(reply)}


def results_in(reply: AIMessage, steps: Sequence[int]) -> dict[int, str]:
    """The results that can be used, by step; of an answer that was cut short not the last one.

    Text is not read: calls that a model wrote as text are calls by now, and other text may quote.
    """
    calls = (call["args"] for call in reply.tool_calls if call["name"] == submit_results.__name__)
    listed = next(calls, {}).get("results")
    parts = listed if isinstance(listed, list) else []
    if reason_in(reply.response_metadata) in _CUT:
        parts = parts[:-1]
    found: dict[int, str] = {}
    for part in parts:
        try:
            read = StepResult.model_validate(part)
        except ValidationError:
            continue
        if read.step in steps and read.result.strip():
            found.setdefault(read.step, read.result.strip())
    return found


def _listed(steps: Sequence[int]) -> str:
    *most, last = map(str, steps)
    return f"{', '.join(most)} and {last}" if most else last
