"""What a model can tell from what it is sent: which task, which part of it, what is known."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from potluck.evaluation.task import Move, PlanStep, Task
from potluck.evaluation.tool_words import does
from potluck.simulator.request import Message, ModelRequest, ToolCall

SITE = "{site}"
# After a goal: its result. Then it is told, not asked for.
_CLOSED = re.compile(r"""["'`.*]*\s*(\([^)\n]*\))?\s*(["'],|:\s*\S|\n\s*(Result|->|=>))""")
_NUMBER = re.compile(r"(\d+)[ \w()]{0,12}[.:)]\s*[*`\"']*$")
FAILED = re.compile(
    r"^\W*error|\w+Error\b|Traceback|field required|input should be|unexpected keyword|not a valid"
    r"|validation|was not run|very call before|no tool|does not exist|must be|failed",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Situation:
    """One moment of a task as a model sees it.

    `steps` are the numbers of the steps it is asked to do now, with the number they have in the
    request; empty when it is asked for the whole task. `judging`: results of steps are laid before
    it. `made` are the moves that are done, `facts` what is known.
    """

    task: Task
    facts: Mapping[str, str]
    made: frozenset[str]
    steps: tuple[tuple[int, int], ...] = ()
    judging: bool = False
    calls: tuple[ToolCall, ...] = ()
    results: tuple[str, ...] = ()
    told: str = ""
    """What was laid before it as the result of the whole task."""

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves of what it is asked to do now."""
        if not self.steps:
            return self.task.moves
        wanted = {name for _, number in self.steps for name in self.task.plan[number].moves}
        needed = wanted | self._lacking(wanted)
        return tuple(move for move in self.task.moves if move.id in needed)

    @property
    def open_moves(self) -> tuple[Move, ...]:
        """Those that are not made yet."""
        return tuple(move for move in self.moves if move.id not in self.made)

    @property
    def next_moves(self) -> tuple[Move, ...]:
        """Those that can be made now: what they need is known."""
        inside = {move.id for move in self.moves}
        return tuple(
            move
            for move in self.open_moves
            if all(need in self.made or need not in inside for need in move.needs)
        )

    @property
    def open_steps(self) -> tuple[int, ...]:
        """The steps of the plan whose results are not known."""
        return tuple(
            number
            for number, step in enumerate(self.task.plan)
            if not all(fact in self.facts for fact in facts_of(step, self.task))
        )

    def thought(self, step: PlanStep) -> dict[str, str]:
        """What this step gives by thinking."""
        return {name: filled(text, self.facts) for name, text in step.gives.items()}

    def narrowed(self) -> "Situation":
        """The same, for the step alone that was asked for last."""
        return replace(self, steps=self.steps[-1:])

    def all_facts(self) -> dict[str, str]:
        """What is known, with all that thinking adds."""
        return _with_thoughts(self.task, self.facts)

    def _lacking(self, wanted: set[str]) -> set[str]:
        """Moves of other steps that must be made once more, as nobody told what came of them."""
        lacking: set[str] = set()
        for move in reversed(self.task.moves):
            if move.id in wanted | lacking and move.id not in self.made:
                lacking |= {need for need in move.needs if need not in self.made}
        return lacking


def _with_thoughts(task: Task, facts: Mapping[str, str]) -> dict[str, str]:
    known = dict(facts)
    for step in task.steps:
        for name, text in step.gives.items():
            known.setdefault(name, filled(text, known))
    return known


def facts_of(step: PlanStep, task: Task) -> tuple[str, ...]:
    """What is known once the step is done."""
    by_moves = (fact for move in task.moves if move.id in step.moves for fact in move.facts)
    return (*by_moves, *step.gives)


def filled(text: str, facts: Mapping[str, str]) -> str:
    """The text with facts in place of `{name}`; what is not known is a question mark."""
    return re.sub(r"\{(\w+)\}", lambda found: facts.get(found[1], "?"), text)


def situation_in(request: ModelRequest, tasks: Sequence[Task]) -> Situation | None:
    """What the request is about, or None when it is about no task."""
    for index in range(len(request.messages) - 1, -1, -1):
        message = request.messages[index]
        if message.role not in {"user", "system"}:
            continue
        task = next((task for task in tasks if _is_about(message.text, task)), None)
        if task is not None:
            return _situation(request, task, message, index)
    return None


def _is_about(text: str, task: Task) -> bool:
    if all(part in text for part in task.request.split(SITE)):
        return True
    return any(goal in text for goal in task.goals)


def _situation(request: ModelRequest, task: Task, message: Message, index: int) -> Situation:
    facts = _told_facts(request, task)
    calls, results = _exchanged(request.messages[index:])
    made = {m.id for m in task.moves if all(fact in facts for fact in m.facts)}
    asked, told = _mentions(message.text, task)
    for move in task.moves:
        taken = _taken(move, _with_thoughts(task, facts), calls, results)
        if taken is not None:
            facts |= taken
            made.add(move.id)
    return Situation(
        task=task,
        facts=facts,
        made=frozenset(made),
        steps=asked,
        judging=told and not asked,
        calls=calls,
        results=results,
        told=_told_result(message.text, task),
    )


def _told_result(text: str, task: Task) -> str:
    """What follows the request as its result, where the whole task was one step."""
    parts = [re.escape(part) for part in task.request.split(SITE)]
    found = re.search(rf"{'[^ ]*'.join(parts)}\s*\n\s*Result:\s*(.+)", text, re.DOTALL)
    return found[1].strip() if found else ""


def _told_facts(request: ModelRequest, task: Task) -> dict[str, str]:
    """Facts that stand in the text as `name = value`, and the address of the task's pages."""
    facts: dict[str, str] = {}
    names = {fact for step in task.plan for fact in facts_of(step, task)}
    for message in request.messages:
        if message.role == "system":
            continue
        for name in names:
            found = re.search(rf"\b{re.escape(name)} = ([^;\n'\"\])\\]+)", message.text)
            if found is not None:
                facts[name] = found[1].strip().rstrip(".")
        facts = _answered_facts(message.text, task) | facts
        site = re.search(r"http://(127\.0\.0\.1|localhost):\d+", message.text)
        if site is not None:
            facts.setdefault("site", site.group())
    return facts


def _answered_facts(text: str, task: Task) -> dict[str, str]:
    """Facts that stand in an answer worded as the task's own."""
    parts = re.split(r"\{(\w+)\}", task.answer)
    if len(parts) == 1 or not parts[0].strip():
        return {}
    wording = re.escape(parts[0])
    seen: set[str] = set()
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        wording += f"(?P={name})" if name in seen else f"(?P<{name}>[^?\n]+?)"
        wording += re.escape(literal)
        seen.add(name)
    found = re.search(rf"{wording}(?!\w)", text)
    return {} if found is None else found.groupdict()


def _exchanged(messages: Sequence[Message]) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
    """The calls that have a result, and the results, in their order."""
    made: dict[str, ToolCall] = {}
    waiting: list[ToolCall] = []
    calls: list[ToolCall] = []
    results: list[str] = []
    for message in messages:
        for call in message.tool_calls:
            waiting.append(call)
            made[call.id or ""] = call
        if message.role == "tool":
            answered = made.get(message.tool_call_id or "") or (waiting[0] if waiting else None)
            if answered is not None:
                waiting = [one for one in waiting if one is not answered]
                calls.append(answered)
                results.append(message.text)
    return tuple(calls), tuple(results)


def _taken(
    move: Move, facts: Mapping[str, str], calls: Sequence[ToolCall], results: Sequence[str]
) -> dict[str, str] | None:
    """What the move's latest good result gives; None when there is none."""
    args = filled_args(move, facts)
    for call, result in zip(reversed(calls), reversed(results), strict=True):
        if not does(call, move.tool, args):
            continue
        if move.sees and re.search(move.sees, result) is None:
            continue
        if not move.sees and not move.take and FAILED.search(result):
            continue
        found = {name: re.search(pattern, result) for name, pattern in move.take.items()}
        if all(found.values()):
            taken = {name: one[1].strip() for name, one in found.items() if one is not None}
            return taken or dict.fromkeys(move.facts, "yes")
    return None


def filled_args(move: Move, facts: Mapping[str, str]) -> dict[str, JsonValue]:
    """The arguments of the move, with what is known by now."""
    return {
        name: re.sub(r"\{(\w+)\}", lambda found: facts.get(found[1], found[0]), value)
        if isinstance(value, str)
        else value
        for name, value in move.args.items()
    }


def _mentions(text: str, task: Task) -> tuple[tuple[tuple[int, int], ...], bool]:
    """The steps that the text asks for, the last one at the end; and whether it tells results."""
    found: list[tuple[int, int, bool]] = []
    numbers: dict[int, int] = {}
    for number, goal in enumerate(task.goals):
        for place in _places(text, goal):
            rest = text[place + len(goal) :]
            found.append((place, number, _CLOSED.match(rest) is not None))
            label = _NUMBER.search(text[max(0, place - 30) : place])
            if label is not None:
                numbers[number] = int(label[1])
    found.sort()
    if not found:
        return (), False
    _, last, closed = found[-1]
    if closed:
        return (), True
    told = {number for _, number, is_closed in found if is_closed}
    run = [number for _, number, is_closed in found if not is_closed and number not in told]
    asked = (*dict.fromkeys(number for number in run if number != last), last)
    return tuple((numbers.get(number, number + 1), number) for number in asked), bool(told)


def _places(text: str, goal: str) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(goal), text)]
