"""The contrary model: wrong at first; it comes round only where the agent checks."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from potluck.evaluation import forms
from potluck.evaluation.luck import Luck
from potluck.evaluation.situation import Situation
from potluck.evaluation.strong import StrongModel, bound_tool
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest, ToolCall

# Of the moments that it meets for the first time it spoils so many.
SPOILT = 0.5
TOO_MANY = 20


@dataclass(frozen=True)
class ContraryModel(StrongModel):
    """Spoils a moment when it meets it first; the second time it does what is right."""

    luck: Luck

    def reply(self, request: ModelRequest, situation: Situation) -> Reply:
        """The wrong thing first, then what the strong model would say."""
        right = super().reply(request, situation)
        dice, times = self.luck.dice(request, situation)
        if times or dice.random() > SPOILT:
            return right
        return dice.choice(_ways(request, right))(right, request, dice)


type Way = Callable[[Reply, ModelRequest, random.Random], Reply]


def _ways(request: ModelRequest, right: Reply) -> Sequence[Way]:
    if not right.tool_calls:
        return (call_after_answer,) if request.tools else (argue,)
    bound = bound_tool(request)
    if bound is not None and forms.takes_plan(bound.parameters):
        return (too_many_steps, cyclic_steps, twin_steps, written_plan)
    if bound is not None:
        return (unknown_call, argue)
    return (wrong_tool, unknown_call, argue, needless_plan)


def argue(_: Reply, __: ModelRequest, ___: random.Random) -> Reply:
    """Refuses, and gives reasons."""
    return Reply("I do not agree that this is useful, so I will not do it. It would be wrong.")


def call_after_answer(right: Reply, request: ModelRequest, dice: random.Random) -> Reply:
    """Answers, and calls a tool in the same breath."""
    tool = dice.choice(request.tools)
    call = ToolCall(tool.name, forms.any_args(tool.parameters, "more"))
    return replace(right, tool_calls=(call,))


def wrong_tool(right: Reply, request: ModelRequest, _: random.Random) -> Reply:
    """Calls another tool than the one that helps: one that only looks."""
    wanted = {call.name for call in right.tool_calls}
    for name in ("current_time", "list_files", "ls"):
        if request.tool(name) is not None and name not in wanted:
            return Reply(tool_calls=(ToolCall(name, {}),))
    return unknown_call(right, request, _)


def unknown_call(right: Reply, _: ModelRequest, __: random.Random) -> Reply:
    """Calls a tool that nobody has."""
    return Reply(tool_calls=(ToolCall("do_everything", dict(right.tool_calls[0].args)),))


def needless_plan(right: Reply, request: ModelRequest, dice: random.Random) -> Reply:
    """Wants a plan where none is needed; where no plan can be had, it argues."""
    tool = next((tool for tool in request.tools if forms.asks_for_plan(tool)), None)
    if tool is None:
        return argue(right, request, dice)
    return Reply(tool_calls=(ToolCall(tool.name, forms.any_args(tool.parameters, "It is hard.")),))


def too_many_steps(right: Reply, _: ModelRequest, __: random.Random) -> Reply:
    """The plan drawn out to far more steps than it needs."""
    return _with_steps(right, lambda steps: [steps[n % len(steps)] for n in range(TOO_MANY)])


def twin_steps(right: Reply, _: ModelRequest, __: random.Random) -> Reply:
    """Every step twice."""
    return _with_steps(right, lambda steps: [step for step in steps for _ in range(2)])


def cyclic_steps(right: Reply, _: ModelRequest, __: random.Random) -> Reply:
    """Each step waits for the one behind it, the last one for the first, one for nobody's."""
    return _with_steps(
        right, lambda steps: [_waiting(s, n, len(steps)) for n, s in enumerate(steps)]
    )


def written_plan(right: Reply, _: ModelRequest, __: random.Random) -> Reply:
    """The plan as prose, in a list of markdown."""
    steps = right.tool_calls[0].args.get("steps")
    listed = steps if isinstance(steps, list) else []
    lines = (
        f"{n}. **{step.get('goal', step) if isinstance(step, dict) else step}**"
        for n, step in enumerate(listed, start=1)
    )
    return Reply("Here is my plan:\n\n" + "\n".join(lines))


def _waiting(step: object, index: int, count: int) -> object:
    if not isinstance(step, dict):
        return step
    return {**step, "needs": [(index + 1) % count + 1, 99]}


def _with_steps(right: Reply, change: Callable[[list[object]], list[object]]) -> Reply:
    first, *others = right.tool_calls
    args: Mapping[str, object] = first.args
    for name in ("steps", "plan", "todos"):
        steps = args.get(name)
        if isinstance(steps, list) and steps:
            changed = replace(first, args={**args, name: change(steps)})
            return replace(right, tool_calls=(changed, *others))
    return right
