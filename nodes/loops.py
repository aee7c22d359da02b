"""Telling when a model goes round in circles: calls that teach it nothing new are not made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

# Marks a result, in its `response_metadata`, whose call was not made for one of these reasons.
LOOP_KEY = "loop"
MOST_SAME = 3
MOST_FAILURES = 4
# After so many refused calls a model gets no more tools
MOST_REFUSED = 2

REPEATED = (
    "It was not run: you made this very call before, with the same result. Use that result, or go "
    "another way."
)
ALTERNATING = (
    "It was not run: you make the same two calls in turn, with the same results. Use what they "
    "gave you, or go another way."
)
FAILING = (
    "It was not run: this tool has failed {times} times in a row here. Do not call it again; use "
    "another tool, or say what could not be done."
)


@dataclass(frozen=True, slots=True)
class Made:
    """One call that was made, and what came of it; `result` is None while there is none."""

    name: str
    args: str
    result: str | None
    failed: bool = False
    refused: bool = False

    @property
    def what(self) -> tuple[str, str]:
        """Which call it is."""
        return self.name, self.args


def objection_to(call: ToolCall, transcript: Sequence[AnyMessage]) -> str:
    """Why the call should not be made after these that were; empty when it may."""
    made = [one for one in calls_in(transcript, until=call["id"]) if not one.refused]
    what = call["name"], _normal(call["args"])
    same = [one for one in made if one.what == what]
    if len(same) >= MOST_SAME and _are_alike(same[-MOST_SAME:]):
        return REPEATED
    if _alternates([*made[-4:]], what):
        return ALTERNATING
    of_tool = [one for one in made if one.name == call["name"]][-MOST_FAILURES:]
    if len(of_tool) == MOST_FAILURES and all(one.failed for one in of_tool):
        return FAILING.format(times=MOST_FAILURES)
    return ""


def is_stuck(transcript: Sequence[AnyMessage]) -> bool:
    """Whether the model goes on with calls that were refused because they lead nowhere."""
    return sum(one.refused for one in calls_in(transcript)) >= MOST_REFUSED


def calls_in(transcript: Sequence[AnyMessage], *, until: str | None = None) -> list[Made]:
    """The calls since the user spoke last, in order, up to the one whose id is `until`."""
    since: list[AnyMessage] = []
    for message in reversed(transcript):
        if message.type == "human":
            break
        since.append(message)
    since.reverse()
    results = {m.tool_call_id: m for m in since if isinstance(m, ToolMessage)}
    made: list[Made] = []
    for message in since:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            if until is not None and call["id"] == until:
                return made
            made.append(_made(call, results.get(call["id"] or "")))
    return made


def rounds_in(transcript: Sequence[AnyMessage]) -> int:
    """How many moves the model has made since it was last spoken to."""
    rounds = 0
    for message in reversed(transcript):
        if message.type == "human":
            break
        rounds += isinstance(message, AIMessage)
    return rounds


def _made(call: ToolCall, result: ToolMessage | None) -> Made:
    args = _normal(call["args"])
    if result is None:
        return Made(call["name"], args, None)
    return Made(
        call["name"],
        args,
        str(result.text),
        failed=result.status == "error",
        refused=LOOP_KEY in result.response_metadata,
    )


def _are_alike(made: Sequence[Made]) -> bool:
    """Whether all gave the same; calls side by side have no results yet, and give the same."""
    return len({one.result for one in made}) == 1


def _alternates(made: Sequence[Made], what: tuple[str, str]) -> bool:
    """A, B, A, B, and now A (or B) once more, with what they gave before."""
    if len(made) < 4:
        return False
    first, second, third, fourth = made[-4:]
    return (
        first.what != second.what
        and what in (first.what, second.what)
        and (first.what, first.result) == (third.what, third.result)
        and (second.what, second.result) == (fourth.what, fourth.result)
    )


def _normal(args: object) -> str:
    """Arguments as text in which order of names and white space make no difference."""
    return json.dumps(_squeezed(args), sort_keys=True, ensure_ascii=False, default=str)


def _squeezed(value: object) -> object:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {str(name).strip(): _squeezed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_squeezed(one) for one in value]
    return value
