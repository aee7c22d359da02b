"""On what terms a model is asked: for whom, with which room, who takes notes."""

from dataclasses import dataclass, field

from potluck.providers.catalog import TaskType
from potluck.quota.calls import NoRecorder, Recorder
from potluck.quota.limiter import Reservation
from potluck.quota.windows import Priority


@dataclass(frozen=True, slots=True)
class Terms:
    """What every link needs to know of the call that it is asked for.

    `reservation` is room in the model's limits, where that was waited for already.
    """

    task_type: TaskType = "general"
    priority: Priority = "interactive"
    thread: str | None = None
    parts: int = 1
    tenant: str = ""
    recorder: Recorder = field(default_factory=NoRecorder)
    reservation: Reservation | None = None
