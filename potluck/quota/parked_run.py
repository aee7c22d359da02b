"""A parked run, and where such runs are kept."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, Protocol

from potluck.quota.windows import Priority

# The type of the interrupt that a parked run stops at
PARKED: Literal["parked"] = "parked"


@dataclass(frozen=True, slots=True)
class ParkedRun:
    """A run that stopped for want of quota and goes on by itself.

    `waiting_for` are the models (refs) that are out, the one that is back first in front.
    `known_models` are all that could be asked when it stopped: a new one is a reason to try at
    once. `context` and `recursion_limit` are the run's own, to be given to the run that goes on
    with it. `times` counts how often the same step has been put off.
    """

    thread_id: str
    run_id: str
    resume_at: datetime
    since: datetime
    reason: str
    waiting_for: tuple[str, ...] = ()
    known_models: tuple[str, ...] = ()
    context: Mapping[str, object] = field(default_factory=dict)
    recursion_limit: int | None = None
    times: int = 1

    @property
    def priority(self) -> Priority:
        """Who goes first when several are due."""
        given = self.context.get("priority")
        return given if given in ("background", "batch") else "interactive"

    def joined(self, other: "ParkedRun") -> "ParkedRun":
        """This and a later stop on the same thread: one when both belong to the same run."""
        if self.run_id != other.run_id:
            return other
        return replace(
            other,
            resume_at=min(self.resume_at, other.resume_at),
            since=min(self.since, other.since),
            waiting_for=tuple(dict.fromkeys((*self.waiting_for, *other.waiting_for))),
            times=max(self.times, other.times),
        )


class Shelf(Protocol):
    """Where parked runs are kept, one for each thread. May raise psycopg.Error."""

    async def put(self, run: ParkedRun) -> None:
        """Keep it, joined with what is kept of its thread."""

    async def read(self, thread_id: str | None = None) -> list[ParkedRun]:
        """Those of one thread, or all."""

    async def remove(self, run: ParkedRun) -> None:
        """Forget it, unless its thread holds another run by now."""

    async def move(self, run: ParkedRun, resume_at: datetime) -> None:
        """Have it go on at another time, unless its thread holds another run by now."""

    def lock(self, thread_id: str) -> AbstractAsyncContextManager[bool]:
        """Whether the thread is ours alone inside the block."""


class MemoryShelf:
    """Keeps them in this process."""

    def __init__(self) -> None:
        self._runs: dict[str, ParkedRun] = {}

    async def put(self, run: ParkedRun) -> None:
        """Keep it, joined with what is kept of its thread."""
        known = self._runs.get(run.thread_id)
        self._runs[run.thread_id] = run if known is None else known.joined(run)

    async def read(self, thread_id: str | None = None) -> list[ParkedRun]:
        """Those of one thread, or all."""
        return [run for run in self._runs.values() if thread_id in (None, run.thread_id)]

    async def remove(self, run: ParkedRun) -> None:
        """Forget it, unless its thread holds another run by now."""
        if self._holds(run):
            del self._runs[run.thread_id]

    async def move(self, run: ParkedRun, resume_at: datetime) -> None:
        """Have it go on at another time, unless its thread holds another run by now."""
        if self._holds(run):
            self._runs[run.thread_id] = replace(run, resume_at=resume_at)

    @asynccontextmanager
    async def lock(self, thread_id: str) -> AsyncIterator[bool]:  # noqa: ARG002 - nobody else is there
        """Always ours: there is no other process."""
        yield True

    def _holds(self, run: ParkedRun) -> bool:
        held = self._runs.get(run.thread_id)
        return held is not None and held.run_id == run.run_id
