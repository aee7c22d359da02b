"""On what terms a model is asked: for whom, with which room, who takes notes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from langchain_core.messages import BaseMessage

from potluck.providers.catalog import TaskType
from potluck.quota.calls import NoRecorder, Recorder
from potluck.quota.limiter import Reservation
from potluck.quota.windows import Priority

Fit = Callable[[Sequence[BaseMessage], int], Awaitable[list[BaseMessage]]]
"""The conversation in about so many tokens; longer where it cannot be made so short."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every link needs to know of the call that it is asked for.

    `reservation` is room in the model's limits, where that was waited for already. `fit` shortens
    the conversation for a model that does not take all of it; without, such a model is left out.
    """

    task_type: TaskType = "general"
    priority: Priority = "interactive"
    thread: str | None = None
    parts: int = 1
    tenant: str = ""
    recorder: Recorder = field(default_factory=NoRecorder)
    reservation: Reservation | None = None
    fit: Fit | None = None
