"""How many requests a suite will take, told before they are spent."""

from collections.abc import Iterable

from potluck.evaluation.task import Task


def requests_of(tasks: Iterable[Task]) -> int:
    """About how many requests these tasks take on a model that makes no mistakes."""
    return sum(_requests(task) for task in tasks)


def _requests(task: Task) -> int:
    if not task.steps:
        return 1 + _rounds(task)
    acting = sum(2 for step in task.steps if step.moves)
    thinking = sum(1 for step in task.steps if not step.moves)
    return 3 + acting + -(-thinking // 3)


def _rounds(task: Task) -> int:
    """How many calls of the solution come one after the other."""
    depth: dict[str, int] = {}
    for move in task.moves:
        depth[move.id] = 1 + max((depth.get(need, 0) for need in move.needs), default=0)
    return max(depth.values(), default=0)
