"""Plans as models hand them in, and what is made of those that are not as they should be."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import json_repair
from pydantic import BaseModel, Field

MAX_STEPS = 8

_STEPS = ("steps", "plan", "tasks", "subtasks", "todos")
_WRAPPERS = ("arguments", "args", "parameters", "input", *_STEPS)
_GOALS = ("goal", "step", "task", "description", "action", "title", "name", "content", "text")
_NEEDS = ("needs", "depends_on", "dependencies", "requires")
_DONE_WHEN = ("done_when", "done_if", "criteria", "expected")
_NUMBERS = ("id", "number", "step_number", "step", "step_id")
_THINKING = frozenset({"think", "thinking", "reason", "reasoning", "thought", "analysis"})
_LISTED = re.compile(
    r"^\s*(?:[-*•]|\d{1,2}[.):]|step\s*\d{1,2}\s*[.):-]|手順\s*\d{1,2}\s*[.):]?)\s+(.+)$",
    re.IGNORECASE | re.MULTILINE,
)
_MARKS = re.compile(r"^(?:\W*\d{1,2}[.):]|\W*step\s*\d{1,2}\s*[.):-])\s+|[*`_]{2,}", re.IGNORECASE)


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


class make_plan(BaseModel):  # noqa: N801 - the class name is the tool's name for the model
    """Do a task of several dependent steps by a plan."""

    steps: list[PlannedStep] = Field(
        default_factory=list,
        description="The fewest concrete steps; none that only writes the final answer.",
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    goal: str
    kind: Literal["think", "act"]
    done_when: str
    numbers: tuple[int, ...]
    own_number: int | None = None
    is_text: bool = False


def read_plan(given: object, *, after: int = 0, most: int = MAX_STEPS) -> list[PlannedStep]:
    """The steps that a model meant, in an order in which they can be done, at most `most`.

    Steps may be texts, named in other words, doubled, wait for each other or for steps that are not
    there; texts alone are done one after another. `after` is the number of the last step that is
    finished. Raises ValueError when there are no steps at all.
    """
    drafts = [draft for draft in map(_draft, _entries(given)) if draft is not None]
    if not drafts:
        raise ValueError("it holds no steps: `steps` must be a list of objects with a `goal`")
    kept = list({_key(draft.goal): draft for draft in reversed(drafts)}.values())[::-1]
    needs = _needs(drafts, kept, after)
    if all(draft.is_text for draft in kept):
        needs = [set(range(index)) for index in range(len(kept))]
    order = _order(needs)
    place = {index: number for number, index in enumerate(order, start=1)}
    steps = [
        PlannedStep(
            goal=kept[index].goal,
            kind=kept[index].kind,
            needs=sorted(place[need] for need in needs[index]),
            done_when=kept[index].done_when,
        )
        for index in order
    ]
    return condensed(steps, most)


def condensed(steps: Sequence[PlannedStep], most: int) -> list[PlannedStep]:
    """The same work in at most `most` steps: neighbours are joined."""
    count = len(steps)
    if count <= most:
        return list(steps)
    group_of = {number: (number - 1) * most // count + 1 for number in range(1, count + 1)}
    joined: list[PlannedStep] = []
    for group in range(1, most + 1):
        members = [step for number, step in enumerate(steps, 1) if group_of[number] == group]
        needs = {group_of[need] for step in members for need in step.needs} - {group}
        joined.append(
            PlannedStep(
                goal="; then ".join(step.goal.rstrip(" .;") for step in members),
                kind="act" if any(step.kind == "act" for step in members) else "think",
                needs=sorted(needs),
                done_when="; ".join(step.done_when for step in members if step.done_when),
            )
        )
    return joined


def written_plan(text: str) -> object:
    """The plan that a model wrote as text: JSON, or else a list; None when there is neither."""
    found = json_repair.loads(text) if "{" in text or "[" in text else None
    if found and any(isinstance(entry, Mapping) for entry in _entries(found)):
        return found
    listed = _LISTED.findall(text)
    return listed if len(listed) > 1 else None


def _entries(given: object) -> list[object]:
    if isinstance(given, str):
        found = written_plan(given)
        return _entries(found) if found is not None and not isinstance(found, str) else []
    if isinstance(given, Mapping):
        return _entries_of_object(given)
    if isinstance(given, list):
        nested = (_entries(one) if isinstance(one, list) else [one] for one in given)
        return [entry for entries in nested for entry in entries]
    return []


def _entries_of_object(given: Mapping[str, object]) -> list[object]:
    for name in _WRAPPERS:
        value = given.get(name)
        if isinstance(value, list | Mapping):
            return _entries(value)
        if isinstance(value, str) and name in _STEPS and (entries := _entries(value)):
            return entries
    if any(isinstance(given.get(name), str) for name in _GOALS):
        return [given]
    if given and all(re.search(r"\d", str(key)) for key in given):
        return list(given.values())
    return []


def _draft(entry: object) -> _Draft | None:
    if isinstance(entry, str):
        if entry.lstrip().startswith("{"):
            found = json_repair.loads(entry)
            return _draft(found) if isinstance(found, Mapping) else None
        goal = _goal(entry)
        return _Draft(goal, "act", "", (), is_text=True) if goal else None
    if not isinstance(entry, Mapping):
        return None
    told = (entry.get(name) for name in _GOALS)
    goal = next((goal for one in told if isinstance(one, str) and (goal := _goal(one))), "")
    if not goal:
        return None
    kind = str(entry.get("kind") or entry.get("type") or "").strip().lower()
    number = next((entry[name] for name in _NUMBERS if _is_number(entry.get(name))), None)
    return _Draft(
        goal=goal,
        kind="think" if kind in _THINKING else "act",
        done_when=next((str(entry[n]).strip() for n in _DONE_WHEN if entry.get(n)), ""),
        numbers=tuple(n for name in _NEEDS for n in numbers_in(entry.get(name))),
        own_number=int(str(number)) if number is not None else None,
    )


def _goal(text: str) -> str:
    goal = " ".join(_MARKS.sub("", text).split()).strip()
    return goal if len(goal) >= 3 else ""


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and bool(re.fullmatch(r"\d{1,3}", str(value).strip()))


def numbers_in(value: object) -> Iterator[int]:
    """The whole numbers in what a model gave where a list of them was wanted."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        yield value
    elif isinstance(value, str):
        yield from map(int, re.findall(r"\d{1,3}", value))
    elif isinstance(value, list):
        for one in value:
            yield from numbers_in(one)


def _key(goal: str) -> str:
    return "".join(c for c in goal.casefold() if c.isalnum())


def _needs(drafts: Sequence[_Draft], kept: Sequence[_Draft], after: int) -> list[set[int]]:
    """For each step that is kept the places of those it needs; what is not there is dropped.

    Where steps were doubled it cannot be told which counting is meant, so that both hold.
    """
    place = {_key(draft.goal): index for index, draft in enumerate(kept)}
    listed = [place[_key(draft.goal)] for draft in drafts]
    countings = [_counting(drafts, listed, after)]
    if len(kept) < len(drafts):
        countings.append(_counting(kept, list(range(len(kept))), after))
    needs: list[set[int]] = [set() for _ in kept]
    for draft in drafts:
        own = place[_key(draft.goal)]
        for counting in countings:
            needs[own] |= {counting[n] for n in draft.numbers if n in counting} - {own}
    return needs


def _counting(drafts: Sequence[_Draft], places: Sequence[int], after: int) -> dict[int, int]:
    """What each number means: the steps' own numbers, or else from 1 (0 where 0 is needed)."""
    own = [draft.own_number for draft in drafts]
    if None not in own and len(set(own)) == len(own):
        return {
            number: place for number, place in zip(own, places, strict=True) if number is not None
        }
    used = {number for draft in drafts for number in draft.numbers}
    first = 0 if 0 in used and len(drafts) not in used else 1
    counting = dict(enumerate(places, start=first))
    for number, place in enumerate(places, start=after + 1):
        counting.setdefault(number, place)
    return counting


def _order(needs: list[set[int]]) -> list[int]:
    """The places in an order in which each comes after those it needs.

    Steps that wait for each other are done as they are listed, each after all before it.
    """
    order: list[int] = []
    left = list(range(len(needs)))
    while left:
        ready = next((index for index in left if needs[index] <= set(order)), None)
        if ready is None:
            for index in left:
                needs[index] = set(order)
                order.append(index)
            break
        order.append(ready)
        left.remove(ready)
    return order


def renumbered(steps: Sequence[PlannedStep], finished: Sequence[str]) -> list[PlannedStep]:
    """The steps without those whose goals are `finished` already."""
    done = {_key(goal) for goal in finished}
    kept = [number for number, step in enumerate(steps, 1) if _key(step.goal) not in done]
    place = {number: new for new, number in enumerate(kept, start=1)}
    return [
        steps[number - 1].model_copy(
            update={"needs": [place[n] for n in steps[number - 1].needs if n in place]}
        )
        for number in kept
    ]
