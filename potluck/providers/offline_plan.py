"""Plans of the offline model: one step for each thing that was asked, in words it understands."""

from collections.abc import Mapping
from dataclasses import dataclass

from potluck.providers.offline_intent import Gap, goal_of
from potluck.providers.offline_request import Request

SUBMIT_PLAN = "submit_plan"
_FILE_TOOLS = frozenset(
    {"list_files", "read_file", "write_file", "edit_file", "search_files", "python", "shell"}
)
_CLOSING = "Report the results of the steps before"


@dataclass(frozen=True, slots=True)
class _Draft:
    goal: str
    kind: str
    uses_files: bool


def plan_arguments(
    request: Request, text: str, parameters: Mapping[str, object]
) -> dict[str, object]:
    """Arguments for `submit_plan` that fit its JSON schema: as many steps as it allows."""
    steps = _object(_object(parameters.get("properties")).get("steps"))
    drafts = _drafts(request) or [
        _Draft(text.strip() or "Answer the user", "think", uses_files=False)
    ]
    drafts = _at_most(drafts, _number(steps.get("maxItems"), len(drafts)))
    while len(drafts) < _number(steps.get("minItems"), 0):
        drafts.append(_Draft(_CLOSING, "think", uses_files=False))
    known = _properties(_object(steps.get("items")), parameters)
    return {"steps": [_fitted(number, drafts, known) for number in range(1, len(drafts) + 1)]}


def _drafts(request: Request) -> list[_Draft]:
    drafts: list[_Draft] = []
    for part in request.parts:
        if isinstance(part, Gap):
            drafts.append(_Draft(part.text, "think", uses_files=False))
            continue
        uses_files = part.tool in _FILE_TOOLS
        if part.takes_result and drafts:  # its result lives in the same step
            drafts[-1] = _joined(drafts[-1], _Draft(goal_of(part), "act", uses_files=uses_files))
        else:
            drafts.append(_Draft(goal_of(part), "act", uses_files=uses_files))
    return drafts


def _joined(first: _Draft, second: _Draft) -> _Draft:
    return _Draft(
        goal=f"{first.goal}, then {second.goal[:1].lower()}{second.goal[1:]}",
        kind="act" if "act" in {first.kind, second.kind} else "think",
        uses_files=first.uses_files or second.uses_files,
    )


def _at_most(drafts: list[_Draft], most: int) -> list[_Draft]:
    while len(drafts) > max(most, 1):
        drafts = [*drafts[:-2], _joined(drafts[-2], drafts[-1])]
    return drafts


def _fitted(number: int, drafts: list[_Draft], known: Mapping[str, object]) -> dict[str, object]:
    draft = drafts[number - 1]
    earlier = [n for n in range(1, number) if draft.uses_files and drafts[n - 1].uses_files]
    step: dict[str, object] = {
        "goal": draft.goal,
        "kind": draft.kind,
        "needs": earlier[-1:] if draft.goal != _CLOSING else list(range(1, number)),
        "done_when": "its result is there",
    }
    return {key: value for key, value in step.items() if not known or key in known}


def _properties(
    items: Mapping[str, object], parameters: Mapping[str, object]
) -> Mapping[str, object]:
    reference = items.get("$ref")
    if isinstance(reference, str):
        items = _object(_object(parameters.get("$defs")).get(reference.rpartition("/")[2]))
    return _object(items.get("properties"))


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
