"""The next move of the offline model: one tool call, or the answer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from potluck.providers.offer import USE_TOOLS
from potluck.providers.offline_answer import compose, with_notice
from potluck.providers.offline_intent import Gap, Intent, goal_of
from potluck.providers.offline_notes import Wish, notes_in, wish_in
from potluck.providers.offline_phrases import ENGLISH, JAPANESE
from potluck.providers.offline_plan import SUBMIT_PLAN, plan_arguments
from potluck.providers.offline_quotes import RESULT
from potluck.providers.offline_request import Request, understand
from potluck.providers.offline_turn import Done, Turn, read_turn

Schemas = Mapping[str, Mapping[str, object]]
"""The JSON schema of the arguments of each tool at hand, by name."""

# What they do is not undone when a model is back.
CHANGING = frozenset(
    {"write_file", "edit_file", "python", "shell", "change_database", "remember", "forget"}
)

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to make."""

    tool: str
    args: Mapping[str, object]


def next_move(
    messages: Sequence[BaseMessage], schemas: Schemas, why: str, *, may_change: bool = True
) -> Call | str:
    """What to do now: a call of a tool at hand, or the text of the answer.

    For each intent of the last request at most one call is ever made; none that changes anything
    unless it `may_change` things.
    """
    turn = read_turn(messages)
    if turn.reported:
        return with_notice(turn.reported, why=why, in_japanese=turn.in_japanese)
    request = understand(turn.request, turn.background)
    if SUBMIT_PLAN in schemas:
        return Call(SUBMIT_PLAN, plan_arguments(request, turn.request, schemas[SUBMIT_PLAN]))
    wish = wish_in(turn.request)
    if wish is not None and wish.kind in CHANGING and not may_change:
        return compose((), [Gap("no_model", wish.text)], why=why, in_japanese=turn.in_japanese)
    if wish is not None and not turn.done and (moved := _note_move(wish, messages, schemas)):
        return moved if isinstance(moved, Call) else _said(moved, turn, why)
    gaps = [] if wish is not None and turn.done else list(request.gaps)
    for intent in _pending(request, turn.done):
        way = _way(intent, turn, schemas, may_change=may_change)
        if isinstance(way, Call):
            return way
        gaps.append(way)
    return compose(turn.done, gaps, why=why, in_japanese=turn.in_japanese)


def _way(intent: Intent, turn: Turn, schemas: Schemas, *, may_change: bool) -> Call | Gap:
    """The call that the intent is met with, or why there is none."""
    if intent.tool in CHANGING and not may_change:
        return Gap("no_model", goal_of(intent))
    if intent.tool not in schemas:
        if USE_TOOLS in schemas:
            return Call(USE_TOOLS, {"why": intent.tool})
        return Gap("not_bound", goal_of(intent))
    args = _arguments(intent, turn)
    if args is None:
        return Gap("no_result", goal_of(intent))
    return Call(intent.tool, _known_only(args, schemas[intent.tool]))


def _note_move(
    wish: Wish, messages: Sequence[BaseMessage], schemas: Schemas
) -> Call | list[str] | None:
    """What to do about the notes; None where there is no way to them."""
    if wish.kind == "list":
        return notes_in(messages) or [""]
    if wish.kind in schemas:
        return Call(wish.kind, {"text" if wish.kind == "remember" else "note": wish.text})
    return Call(USE_TOOLS, {"why": wish.kind}) if USE_TOOLS in schemas else None


def _said(notes: Sequence[str], turn: Turn, why: str) -> str:
    phrases = JAPANESE if turn.in_japanese else ENGLISH
    shown = "\n".join(f"- {note}" for note in notes if note)
    told = phrases["notes"].format(text=shown) if shown else phrases["no_notes"]
    return with_notice([told], why=why, in_japanese=turn.in_japanese)


def _pending(request: Request, done: Sequence[Done]) -> list[Intent]:
    """The intents that no call was made for; a call of the same tool counts once.

    By name and not by arguments, as a person may have changed these when asked to approve.
    """
    made = [call.tool for call in done]
    pending: list[Intent] = []
    for intent in request.intents:
        if intent.tool in made:
            made.remove(intent.tool)
        else:
            pending.append(intent)
    return pending


def _arguments(intent: Intent, turn: Turn) -> dict[str, object] | None:
    """The arguments with the result of the call before put in; None if that gave none."""
    if not intent.takes_result:
        return dict(intent.args)
    if turn.done:
        value = turn.done[-1].value if turn.done[-1].ok else None
    else:
        value = turn.earlier_result
    if value is not None and intent.tool == "calculator":
        numbers = _NUMBER.findall(value)
        value = numbers[-1] if numbers else None
        value = f"({value})" if value and value.startswith("-") else value
    if value is None:
        return None
    return {
        key: arg.replace(RESULT, value) if isinstance(arg, str) else arg
        for key, arg in intent.args.items()
    }


def _known_only(args: Mapping[str, object], parameters: Mapping[str, object]) -> dict[str, object]:
    known = parameters.get("properties")
    return {key: arg for key, arg in args.items() if not isinstance(known, dict) or key in known}
