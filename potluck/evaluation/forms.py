"""Filling in what a model is bound to: plans, results of steps, verdicts, by their JSON schema."""

import re
from collections.abc import Mapping

from potluck.evaluation.situation import Situation, facts_of
from potluck.evaluation.task import PlanStep
from potluck.simulator.request import Tool
from potluck.simulator.schema import Json, sample

Schema = Mapping[str, object]

_STEPS = ("steps", "plan", "todos", "tasks")
_GOAL = ("goal", "content", "description", "task", "step", "title", "text")
_DONE_WHEN = ("done_when", "done_if", "criteria", "expected")
_NEEDS = ("needs", "depends_on", "dependencies")


def resolved(node: object, root: Schema) -> Schema:
    """The schema itself, where it stands behind a reference or one of several choices."""
    while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
        node = _behind(str(node["$ref"]), root)
    return node if isinstance(node, Mapping) else {}


def properties(schema: Schema) -> Mapping[str, object]:
    """The properties of an object's schema."""
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def array_named(schema: Schema, names: tuple[str, ...]) -> str | None:
    """The property that is a list and has one of these names."""
    for name, node in properties(schema).items():
        if name in names and _is_array(resolved(node, schema)):
            return name
    return None


def takes_plan(schema: Schema) -> bool:
    """Whether it wants steps."""
    return array_named(schema, _STEPS) is not None


def takes_results(schema: Schema) -> bool:
    """Whether it wants the results of several steps."""
    return array_named(schema, ("results",)) is not None


def takes_verdict(schema: Schema) -> bool:
    """Whether it sends work back."""
    return "verdict" in properties(schema)


def asks_for_plan(tool: Tool) -> bool:
    """Whether calling it hands the task to a planner."""
    return "plan" in tool.name.lower() and "todo" not in tool.name.lower()


def plan_args(schema: Schema, situation: Situation, wanted: tuple[int, ...]) -> dict[str, Json]:
    """The plan with these steps, each as the schema has steps."""
    task = situation.task
    name = array_named(schema, _STEPS) or "steps"
    items = resolved(_items(resolved(properties(schema)[name], schema)), schema)
    place = {number: index + 1 for index, number in enumerate(wanted)}
    goals = {number: goal_of(number, situation) for number in wanted}
    listed: list[Json] = [
        _step(task.plan[number], goals[number], items, place, schema) for number in wanted
    ]
    return {**_required(schema, task.goals[wanted[0]] if wanted else ""), name: listed}


def goal_of(number: int, situation: Situation) -> str:
    """The step in words that can be understood alone: with the address that it needs."""
    goal, site = situation.task.plan[number].goal, situation.facts.get("site")
    return f"{goal} (at {site})" if site else goal


def result_args(schema: Schema, situation: Situation) -> dict[str, Json]:
    """The results of all steps that were asked for and can be had by thinking."""
    listed: list[Json] = []
    for shown, number in situation.steps:
        step = situation.task.plan[number]
        if not step.moves:
            listed.append({"step": shown, "result": step_result(step, situation)})
    return {**_required(schema, ""), "results": listed}


def verdict_args(schema: Schema, situation: Situation, shown: tuple[int, ...]) -> dict[str, Json]:
    """Send these steps back."""
    missing = [n for step in situation.open_steps for n in _missing(step, situation)]
    filled_in: dict[str, Json] = {
        "verdict": "retry",
        "reason": f"These are missing: {', '.join(missing)}.",
        "steps": list(shown),
        "question": "",
    }
    names = properties(schema)
    return {**_required(schema, ""), **{k: v for k, v in filled_in.items() if k in names}}


def step_result(step: PlanStep, situation: Situation) -> str:
    """What to report of a step: its facts, as they are known."""
    known = {**situation.facts, **situation.thought(step)}
    told = [f"{name} = {known.get(name, '?')}" for name in facts_of(step, situation.task)]
    return "; ".join(told) or "It is done."


def act_args(schema: Schema, situation: Situation, answer: str) -> dict[str, Json] | None:
    """The choice between an answer and a further plan, where the schema has one."""
    for name, node in properties(schema).items():
        choices = [resolved(one, schema) for one in _choices(node)]
        ending = next((one for one in choices if "response" in properties(one)), None)
        going_on = next((one for one in choices if _takes_plan_in(one, schema)), None)
        if ending is None or going_on is None:
            continue
        left = situation.open_steps
        if not left:
            return {name: {"response": answer}}
        goals: list[Json] = [goal_of(number, situation) for number in left]
        return {name: {"steps": goals}}
    return None


def any_args(schema: Schema, text: str) -> dict[str, Json]:
    """The smallest thing that fits."""
    made = sample(schema, text=text)
    return made if isinstance(made, dict) else {}


def _step(step: PlanStep, goal: str, items: Schema, place: Mapping[int, int], root: Schema) -> Json:
    names = properties(items)
    if not names:
        return goal
    made = any_args({**items, "$defs": root.get("$defs", {})}, goal)
    for name in names:
        if name in _GOAL:
            made[name] = goal
        elif name in _DONE_WHEN:
            made[name] = "its result is told"
        elif name in _NEEDS:
            made[name] = [place[need - 1] for need in step.needs if need - 1 in place]
        elif name == "kind":
            made[name] = "act" if step.moves else "think"
    return made


def _missing(number: int, situation: Situation) -> list[str]:
    step = situation.task.plan[number]
    return [fact for fact in facts_of(step, situation.task) if fact not in situation.facts]


def _required(schema: Schema, text: str) -> dict[str, Json]:
    return any_args(schema, text or "as asked")


def _takes_plan_in(choice: Schema, root: Schema) -> bool:
    return any(
        name in _STEPS and _is_array(resolved(node, root))
        for name, node in properties(choice).items()
    )


def _choices(node: object) -> list[object]:
    if not isinstance(node, Mapping):
        return []
    found = node.get("anyOf") or node.get("oneOf")
    return list(found) if isinstance(found, list) else []


def _is_array(node: Schema) -> bool:
    return node.get("type") == "array" or any(
        isinstance(one, Mapping) and one.get("type") == "array" for one in _choices(node)
    )


def _items(node: Schema) -> object:
    if "items" in node:
        return node["items"]
    arrays = (one for one in _choices(node) if isinstance(one, Mapping) and "items" in one)
    return next((one["items"] for one in arrays), {})


def _behind(reference: str, root: Schema) -> object:
    node: object = root
    for part in re.split("/", reference.lstrip("#/")):
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
    return node
