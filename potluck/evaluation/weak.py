"""The weak model: it knows as much as the strong one, and slips as weak models do."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from potluck.evaluation.luck import Luck
from potluck.evaluation.situation import FAILED, Situation
from potluck.evaluation.strong import StrongModel, bound_tool
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest, ToolCall

# How often each slip happens when there is a call to make. They were set before any agent was
# tried, after what small open models do on public tool-calling boards.
CALL_SLIPS: Mapping[str, float] = {
    "broken_json": 0.06,
    "wrong_name": 0.06,
    "written_call": 0.06,
    "empty": 0.05,
    "announced": 0.03,
    "again": 0.05,
    "early": 0.02,
}
FORM_SLIPS: Mapping[str, float] = {
    "broken_json": 0.08,
    "written_call": 0.08,
    "plain_steps": 0.06,
    "empty": 0.05,
}
TEXT_SLIPS: Mapping[str, float] = {"empty": 0.05}
# Who repeats itself comes out of it alone this often.
BREAK_OUT = 0.25
# A model that was just told of a mistake makes the next one less often.
TOLD_FACTOR = 0.4


@dataclass(frozen=True)
class WeakModel(StrongModel):
    """Slips now and then, the same way for the same seed; does better once it is told."""

    luck: Luck

    def reply(self, request: ModelRequest, situation: Situation) -> Reply:
        """What the strong model would say, or a slip."""
        right = super().reply(request, situation)
        dice, _ = self.luck.dice(request, situation)
        again = _stuck(request, situation)
        if again is not None and dice.random() > BREAK_OUT:
            return again
        slip = _drawn(_slips(request, right), dice, factor=_factor(request))
        return _SLIPS[slip](right, situation) if slip else right


def _slips(request: ModelRequest, right: Reply) -> Mapping[str, float]:
    if not right.tool_calls:
        return TEXT_SLIPS
    return FORM_SLIPS if bound_tool(request) is not None else CALL_SLIPS


def _factor(request: ModelRequest) -> float:
    last = request.messages[-1].text if request.messages else ""
    return TOLD_FACTOR if FAILED.search(last) or "again" in last.lower() else 1.0


def _drawn(slips: Mapping[str, float], dice: random.Random, *, factor: float) -> str | None:
    point = dice.random()
    for name, share in slips.items():
        point -= share * factor
        if point < 0:
            return name
    return None


def _stuck(request: ModelRequest, situation: Situation) -> Reply | None:
    """The last call once more, if it was made twice already with the same result and no word."""
    if len(situation.calls) < 2 or not request.tools:
        return None
    (*_, before, last), (*_, told_before, told) = situation.calls, situation.results
    if (before.name, before.args) != (last.name, last.args) or told_before != told:
        return None
    return Reply(tool_calls=(ToolCall(last.name, last.args),))


def broken_json(right: Reply, _: Situation) -> Reply:
    """The first call's arguments as text that is no JSON: a quote or bracket is missing."""
    first, *others = right.tool_calls
    text = first.args_text
    broken = text[:-1] if len(text) % 2 else text.replace('": ', '": ', 1).replace('"', "'")
    return replace(right, tool_calls=(replace(first, raw_args=broken), *others))


def wrong_name(right: Reply, _: Situation) -> Reply:
    """The first call with an argument under a name that it does not have."""
    first, *others = right.tool_calls
    if not first.args:
        return right
    name, *rest = first.args
    wrong = {f"the_{name}": first.args[name], **{other: first.args[other] for other in rest}}
    return replace(right, tool_calls=(replace(first, args=wrong), *others))


def written_call(right: Reply, _: Situation) -> Reply:
    """The call as text instead of a call."""
    shown = [{"name": call.name, "arguments": dict(call.args)} for call in right.tool_calls]
    text = "\n".join(
        f"<tool_call>\n{json.dumps(one, ensure_ascii=False)}\n</tool_call>" for one in shown
    )
    return Reply(text)


def empty(right: Reply, _: Situation) -> Reply:
    """Nothing at all."""
    del right
    return Reply("")


def announced(right: Reply, _: Situation) -> Reply:
    """Says that it will call a tool, and does not."""
    return Reply(f"I will now call {right.tool_calls[0].name}.")


def again(right: Reply, situation: Situation) -> Reply:
    """The last call that it made, once more."""
    if not situation.calls:
        return right
    last = situation.calls[-1]
    return Reply(tool_calls=(ToolCall(last.name, last.args),))


def early(right: Reply, _: Situation) -> Reply:
    """Says that all is done, while it is not."""
    del right
    return Reply("All of it is done.")


def plain_steps(right: Reply, situation: Situation) -> Reply:
    """Texts where the form wants objects."""
    first, *others = right.tool_calls
    for name in ("steps", "results", "todos"):
        listed = first.args.get(name)
        if isinstance(listed, list) and any(isinstance(one, dict) for one in listed):
            texts = [_text(one) for one in listed]
            return replace(
                right, tool_calls=(replace(first, args={**first.args, name: texts}), *others)
            )
    return broken_json(right, situation)


def _text(entry: object) -> object:
    if not isinstance(entry, dict):
        return entry
    return entry.get("goal") or entry.get("content") or entry.get("result") or str(entry)


_SLIPS: Mapping[str, Callable[[Reply, Situation], Reply]] = {
    "broken_json": broken_json,
    "wrong_name": wrong_name,
    "written_call": written_call,
    "empty": empty,
    "announced": announced,
    "again": again,
    "early": early,
    "plain_steps": plain_steps,
}
