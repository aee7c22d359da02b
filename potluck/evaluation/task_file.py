"""The suite's tasks, from the YAML files beside this module."""

from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML

from potluck.errors import ConfigError
from potluck.evaluation.task import Task

FOLDER = Path(__file__).parent / "tasks"


def load_tasks(folder: Path = FOLDER) -> tuple[Task, ...]:
    """Every task, in the order of the files. Raises ConfigError when one makes no sense."""
    tasks: list[Task] = []
    for file in sorted(folder.glob("*.yaml")):
        for entry in YAML(typ="safe", pure=True).load(file) or []:
            try:
                tasks.append(Task.model_validate(entry))
            except ValidationError as error:
                raise ConfigError(
                    f"A task cannot be used: {error}",
                    file=file,
                    line=None,
                    fix="docs/evaluation.md says what a task may hold.",
                ) from error
    _refuse_twins(tasks, folder)
    return tuple(tasks)


def chosen(
    tasks: Collection[Task], *, kinds: Collection[str] = (), ids: Collection[str] = ()
) -> tuple[Task, ...]:
    """Those of these classes and ids; all when nothing is named. An id may end in `*`."""
    return tuple(
        task
        for task in tasks
        if (not kinds or task.kind in kinds) and (not ids or any(_fits(task.id, i) for i in ids))
    )


def _fits(task_id: str, wanted: str) -> bool:
    return task_id.startswith(wanted[:-1]) if wanted.endswith("*") else task_id == wanted


def _refuse_twins(tasks: Collection[Task], folder: Path) -> None:
    for what in (
        [task.id for task in tasks],
        [task.request for task in tasks],
        [goal for task in tasks for goal in task.goals],
    ):
        twin = next((one for one in what if what.count(one) > 1), None)
        if twin is not None:
            raise ConfigError(
                f"{twin!r} is there twice.", file=folder, line=None, fix="Word one of them anew."
            )
