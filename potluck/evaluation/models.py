"""The scripted models by name, as the simulator takes them."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from potluck.evaluation.contrary import ContraryModel
from potluck.evaluation.luck import Luck
from potluck.evaluation.strong import StrongModel
from potluck.evaluation.task import Task
from potluck.evaluation.weak import WeakModel
from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest

ModelKind = Literal["strong", "weak", "contrary"]
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)

Policy = Callable[[ModelRequest], Reply]


def scripted_model(kind: ModelKind, tasks: Sequence[Task], *, seed: int = 0) -> Policy:
    """The model of this kind, fresh; `seed` decides when the weak and the contrary one slip."""
    match kind:
        case "strong":
            return StrongModel(tasks)
        case "weak":
            return WeakModel(tasks, Luck(seed))
        case "contrary":
            return ContraryModel(tasks, Luck(seed))
