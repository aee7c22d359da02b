"""The strong model: right at once, from nothing but what it is sent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from potluck.evaluation import forms
from potluck.evaluation.situation import Situation, filled, filled_args, situation_in
from potluck.evaluation.task import Move, Task
from potluck.evaluation.tool_words import offered, spelled
from potluck.simulator import default_replies
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest, Tool, ToolCall
from potluck.simulator.schema import Json

NOTHING_MORE = "I cannot find this out with what I have been given."


@dataclass(frozen=True, slots=True)
class StrongModel:
    """Knows how each task is done, plays any agent, and copies its facts from what it is sent."""

    tasks: Sequence[Task]

    def __call__(self, request: ModelRequest) -> Reply:
        """The right next thing to say."""
        situation = situation_in(request, self.tasks)
        if situation is None:
            return default_replies.answer(request)
        return self.reply(request, situation)

    def reply(self, request: ModelRequest, situation: Situation) -> Reply:
        """The right next thing to say in this situation."""
        bound = bound_tool(request)
        if bound is not None:
            args = bound_args(bound.parameters, situation)
            if args is not None:
                return Reply(tool_calls=(ToolCall(bound.name, args),))
        if request.response_format is not None and request.response_format.schema:
            args = bound_args(request.response_format.schema, situation)
            if args is not None:
                return Reply(json.dumps(args, ensure_ascii=False))
        if situation.told:
            return Reply(situation.told)
        if situation.judging:
            return _judged(request, situation)
        return _worked(request, situation.narrowed())


def bound_tool(request: ModelRequest) -> Tool | None:
    """The tool that must be called: it was named, or it is the only one of those required."""
    if request.tool_choice in {"auto", "none"}:
        return None
    named = request.tool(request.tool_choice)
    if named is not None:
        return named
    return request.tools[0] if len(request.tools) == 1 else None


def bound_args(schema: forms.Schema, situation: Situation) -> dict[str, Json] | None:
    """What fits the form that the model is bound to; None when it is a plain tool."""
    if forms.takes_plan(schema):
        return forms.plan_args(schema, situation, _steps_to_plan(situation))
    if forms.takes_results(schema):
        return forms.result_args(schema, situation)
    acting = forms.act_args(schema, situation, answer_of(situation))
    if acting is not None:
        return acting
    if "verdict" in forms.properties(schema):
        return None
    return forms.any_args(schema, answer_of(situation))


def answer_of(situation: Situation) -> str:
    """The final answer; what is not known is a question mark."""
    return filled(situation.task.answer, situation.all_facts())


def call_of(move: Move, request: ModelRequest, situation: Situation) -> ToolCall | None:
    """The call that makes the move, as the offered tool wants it; None when there is none."""
    tool = offered(request, move.tool)
    if tool is None:
        return None
    return ToolCall(tool.name, spelled(tool, filled_args(move, situation.all_facts())))


def _steps_to_plan(situation: Situation) -> tuple[int, ...]:
    """All steps, or after a part of them has been done, those that are left."""
    return situation.open_steps or tuple(range(len(situation.task.plan)))


def _judged(request: ModelRequest, situation: Situation) -> Reply:
    """The answer from the results of steps; the work goes back while something is missing."""
    left = situation.open_steps
    back = next((tool for tool in request.tools if forms.takes_verdict(tool.parameters)), None)
    if left and back is not None:
        shown = tuple(number + 1 for number in left)
        args = forms.verdict_args(back.parameters, situation, shown)
        return Reply(tool_calls=(ToolCall(back.name, args),))
    return Reply(filled(situation.task.answer, situation.facts))


def _worked(request: ModelRequest, situation: Situation) -> Reply:
    """The next calls; when none is left, the result of the step, or the answer."""
    planning = _planning(request, situation)
    if planning is not None:
        return Reply(tool_calls=(planning,))
    calls = [call_of(move, request, situation) for move in situation.next_moves]
    possible = tuple(call for call in calls if call is not None)
    if possible:
        return Reply(tool_calls=(*_noted(request, situation), *possible))
    more = _more_tools(request, situation)
    if more is not None:
        return Reply(tool_calls=(more,))
    if situation.steps:
        step = situation.task.plan[situation.steps[-1][1]]
        whole = answer_of(situation) if len(situation.task.plan) == 1 else ""
        return Reply(f"{forms.step_result(step, situation)}\n{whole}".strip())
    answer = answer_of(situation)
    if situation.open_moves and not situation.results and "?" in answer:
        return Reply(NOTHING_MORE)
    return Reply(answer)


def _planning(request: ModelRequest, situation: Situation) -> ToolCall | None:
    """The call that asks for a plan, for a task of several steps, where one can be asked for."""
    if not situation.task.steps or situation.steps or situation.calls:
        return None
    tool = next((tool for tool in request.tools if forms.asks_for_plan(tool)), None)
    if tool is None:
        return None
    args = bound_args(tool.parameters, situation)
    return ToolCall(tool.name, args or {})


def _noted(request: ModelRequest, situation: Situation) -> tuple[ToolCall, ...]:
    """A list of things to do, kept once by those who have one, beside the first calls."""
    tool = request.tool("write_todos")
    if tool is None or len(situation.task.steps) < 2 or situation.steps or situation.calls:
        return ()
    return (ToolCall(tool.name, forms.plan_args(tool.parameters, situation, _all(situation))),)


def _all(situation: Situation) -> tuple[int, ...]:
    return tuple(range(len(situation.task.plan)))


def _more_tools(request: ModelRequest, situation: Situation) -> ToolCall | None:
    """The call that asks for tools which are not offered, where there is one."""
    if not situation.next_moves:
        return None
    tool = next((tool for tool in request.tools if tool.name.endswith("_tools")), None)
    if tool is None or any(call.name == tool.name for call in situation.calls):
        return None
    names = [move.tool for move in situation.next_moves]
    args = forms.any_args(tool.parameters, names[0])
    for name, node in forms.properties(tool.parameters).items():
        if forms.array_named(tool.parameters, (name,)) and isinstance(node, dict):
            args[name] = list(dict.fromkeys(names))
    return ToolCall(tool.name, args)
