"""Playing tasks with one model, one after the other, and summing up what came of it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Protocol

from potluck.evaluation.record import Record, Result
from potluck.evaluation.stage import Scene, Stage
from potluck.evaluation.task import Task

TASK_TIMEOUT_S = 120.0
# A run that asks more often than this goes round in circles.
MAX_REQUESTS = 40


@dataclass(frozen=True, slots=True)
class Spent:
    """Requests and tokens that were really sent."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Counter(Protocol):
    """Counts what is sent to a model."""

    def reset(self) -> None:
        """Count from zero."""

    def spent(self) -> Spent:
        """What was sent since then."""
        ...


Player = Callable[[Scene], Awaitable[Record]]


async def play(
    tasks: Iterable[Task], stage: Stage, player: Player, counter: Counter, *, model: str
) -> AsyncIterator[Result]:
    """Each task's result as it comes; whatever a run leaves behind is taken away."""
    for task in tasks:
        scene = await stage.set_up(task)
        counter.reset()
        begun = time.monotonic()
        try:
            record = await player(scene)
            seconds = time.monotonic() - begun
            yield result_of(
                scene, record, await scene.judge(record), counter.spent(), model, seconds
            )
        finally:
            await scene.clear()


def result_of(  # noqa: PLR0913, PLR0917 - what a result is made of
    scene: Scene, record: Record, wrong: Sequence[str], spent: Spent, model: str, seconds: float
) -> Result:
    """The record, judged and counted."""
    is_loop = spent.requests >= MAX_REQUESTS
    complaints = (record.error, *wrong) if record.error else tuple(wrong)
    return Result(
        task=scene.task.id,
        kind=scene.task.kind,
        model=model,
        ending="loop" if is_loop else record.ending,
        wrong=complaints,
        requests=spent.requests,
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        tool_calls=len(record.calls),
        seconds=round(seconds, 2),
        answer=record.answer,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What many runs come to; requests and tokens are those for each finished task."""

    model: str
    runs: int
    finished: int
    requests: float
    tokens: float
    loops: int
    errors: int

    @property
    def share(self) -> float:
        """Finished runs, from 0 to 1."""
        return self.finished / self.runs if self.runs else 0.0

    def as_json(self) -> dict[str, object]:
        """Plain values, rounded."""
        return {
            **asdict(self),
            "requests": round(self.requests, 2),
            "tokens": round(self.tokens, 1),
            "share": round(self.share, 3),
        }


def summed(model: str, results: Sequence[Result]) -> Summary:
    """The sum of these results. Unfinished runs cost too: their requests are shared out."""
    finished = sum(result.finished for result in results)
    return Summary(
        model=model,
        runs=len(results),
        finished=finished,
        requests=_each([result.requests for result in results], finished),
        tokens=_each([result.input_tokens + result.output_tokens for result in results], finished),
        loops=sum(result.ending in {"loop", "timeout"} for result in results),
        errors=sum(result.ending == "error" for result in results),
    )


def by_class(results: Sequence[Result]) -> Mapping[str, list[Result]]:
    """The results of each class, in the order in which the classes first come."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.kind, []).append(result)
    return found


def mean_seconds(results: Sequence[Result]) -> float:
    """How long a run took."""
    return fmean(result.seconds for result in results) if results else 0.0


def _each(counts: Sequence[int], finished: int) -> float:
    return sum(counts) / finished if finished else float(sum(counts))
