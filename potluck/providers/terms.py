"""On what terms a model is asked: for whom, how long it may wait for room, who takes notes."""

from dataclasses import dataclass, field

from potluck.providers.catalog import TaskType
from potluck.quota.calls import NoRecorder, Recorder
from potluck.quota.windows import Priority


@dataclass(frozen=True, slots=True)
class Terms:
    """What every link needs to know of the call that it is asked for.

    `patience_s` is how long it may wait for room in the model's limits.
    """

    task_type: TaskType = "general"
    priority: Priority = "interactive"
    patience_s: float = 0.0
    thread: str | None = None
    parts: int = 1
    tenant: str = ""
    recorder: Recorder = field(default_factory=NoRecorder)
