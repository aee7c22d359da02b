"""What a simulated model says when no script tells it: enough to try things out by hand."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest, Tool, ToolCall
from potluck.simulator.schema import sample

_ARITHMETIC = re.compile(r"[\d(][\d\s.,()+*/^%-]*[+*/^%-][\d\s.,()+*/^%-]*[\d)]")


@dataclass(frozen=True, slots=True)
class _Habit:
    """A tool the simulated model knows, and the questions for which it calls it."""

    tool: str
    question: re.Pattern[str]


_HABITS = (
    _Habit("calculator", _ARITHMETIC),
    _Habit("current_time", re.compile(r"\b(time|day|date|today|now)\b", re.IGNORECASE)),
    _Habit("list_files", re.compile(r"\blist\b.*\bfiles\b", re.IGNORECASE)),
)


def answer(request: ModelRequest) -> Reply:
    """Reply by a few plain habits; says in so many words that it is simulated."""
    forced = _forced_call(request)
    if forced is not None:
        return Reply(tool_calls=(forced,))
    if request.response_format is not None:
        return Reply(_sample_text(request))
    results = request.tool_results
    if results:
        found = "; ".join(result.text for result in results)
        return Reply(f"This is a simulated answer. The tools say: {found}")
    call = _habitual_call(request)
    if call is not None:
        return Reply(tool_calls=(call,))
    return Reply(
        f"This is a simulated answer from {request.provider}/{request.model}. "
        f"You said: {request.last_user_text}"
    )


def _forced_call(request: ModelRequest) -> ToolCall | None:
    if request.tool_choice in {"auto", "none"} or not request.tools:
        return None
    tool = request.tool(request.tool_choice) or request.tools[0]
    return ToolCall(tool.name, _args(tool, request.last_user_text))


def _habitual_call(request: ModelRequest) -> ToolCall | None:
    if request.tool_choice == "none":
        return None
    for habit in _HABITS:
        tool = request.tool(habit.tool)
        found = habit.question.search(request.last_user_text)
        if tool is not None and found is not None:
            said = found.group() if habit.question is _ARITHMETIC else "UTC"
            return ToolCall(tool.name, _args(tool, said.strip()))
    return None


def _args(tool: Tool, text: str) -> Mapping[str, object]:
    value = sample(tool.parameters, text=text)
    return value if isinstance(value, dict) else {}


def _sample_text(request: ModelRequest) -> str:
    form = request.response_format
    schema = form.schema if form is not None else {}
    return json.dumps(sample(schema or {"type": "object"}, text=request.last_user_text))
