"""What a step's worker is told: the task, what is known, the step; or several steps at once."""

from collections.abc import Mapping, Sequence

from graph.state import Batch, Step

STEP_PROMPT = """\
The user's task, for context:
{task}

{results}Your step, and only this:
{goal}
It is done when: {done_when}{feedback}
{closing}"""

FOR_THE_PLAN = "Answer with the result of this step alone."
FOR_THE_USER = (
    "Your answer goes to the user as it is: complete, in the user's language, with what could not "
    "be done."
)

TRY_AGAIN = "That is not good enough: {feedback}\nGo on from what you have, and do it another way."

BATCH_REQUEST = """\
The user's task, for context:
{task}

{results}The steps, each to be done for itself:
{steps}"""

# About 4,000 tokens: with the answers it fits the smallest free tier's minute
MAX_BATCH_CHARS = 16_000


def step_request(step: Step, plan: Mapping[int, Step], task: str) -> str:
    """The words that hand out one step."""
    return STEP_PROMPT.format(
        task=task,
        results=_results([step], plan),
        goal=step["goal"],
        done_when=_done_when(step),
        feedback=f"\nThe last try was not good enough: {step['feedback']}"
        if step["feedback"]
        else "",
        closing=FOR_THE_USER if len(plan) == 1 else FOR_THE_PLAN,
    )


def batches_of(
    steps: Sequence[Step], plan: Mapping[int, Step], task: str, *, most: int
) -> list[Batch]:
    """Those of the steps that can share a request, up to `most` in each.

    They need no tools, have not failed before, and are short enough together.
    """
    groups: list[list[Step]] = [[]]
    for step in steps:
        if step["kind"] != "think" or step["attempts"]:
            continue
        group = [*groups[-1], step]
        if len(group) > most or len(_batch_request(group, plan, task)) > MAX_BATCH_CHARS:
            groups.append([step])
        else:
            groups[-1] = group
    return [
        Batch(steps=[s["id"] for s in group], request=_batch_request(group, plan, task))
        for group in groups
        if len(group) > 1
    ]


def _batch_request(steps: Sequence[Step], plan: Mapping[int, Step], task: str) -> str:
    shown = (f"Step {s['id']}: {s['goal']}\nIt is done when: {_done_when(s)}" for s in steps)
    return BATCH_REQUEST.format(task=task, results=_results(steps, plan), steps="\n\n".join(shown))


def _results(steps: Sequence[Step], plan: Mapping[int, Step]) -> str:
    """What the steps need, and what an earlier plan has finished: that is there for all."""
    first = min(step["first"] for step in steps)
    known = {s["id"] for s in plan.values() if s["id"] < first and s["status"] == "done"}
    known.update(need for step in steps for need in step["needs"])
    lines = "\n".join(f"- {plan[n]['goal']}: {plan[n]['result']}" for n in sorted(known))
    return f"Results you can build on:\n{lines}\n\n" if lines else ""


def _done_when(step: Step) -> str:
    return step["done_when"] or "the result is there"
