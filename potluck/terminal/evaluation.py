"""`potluck eval`: the suite on the user's models, or on a scripted one; a table for each."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.prompt import Confirm

from potluck.errors import PotluckError
from potluck.evaluation.live import live_engine, live_model, refs_on
from potluck.evaluation.models import MODEL_KINDS, ModelKind
from potluck.evaluation.plan_of_use import requests_of
from potluck.evaluation.record import Result
from potluck.evaluation.simulated import fresh_model, simulated_model, simulated_stage
from potluck.evaluation.suite import play, summed
from potluck.evaluation.task import Task
from potluck.evaluation.task_file import chosen, load_tasks
from potluck.settings import Settings

ASK_FROM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which part of the suite, on which models, how often."""

    models: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    repeat: int = 1
    simulated: ModelKind | None = None
    seed: int = 0
    yes: bool = False


def evaluate(settings: Settings, wanted: Wanted, console: Console) -> list[Result]:
    """Play the tasks; progress and questions show on `console`.

    Raises PotluckError when no task or no model is left, or the user does not agree.
    """
    tasks = _picked(wanted)
    return asyncio.run(_evaluate(settings, wanted, tasks, console))


def model_kind(name: str | None) -> ModelKind | None:
    """The scripted model of this name. Raises PotluckError when there is none."""
    if name is None:
        return None
    known = next((kind for kind in MODEL_KINDS if kind == name), None)
    if known is None:
        raise PotluckError(
            f"There is no scripted model {name!r}.", fix=f"Use one of: {', '.join(MODEL_KINDS)}."
        )
    return known


def as_values(results: Sequence[Result]) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "models": [
            summed(model, [r for r in results if r.model == model]).as_json()
            for model in dict.fromkeys(result.model for result in results)
        ],
        "results": [{**asdict(result), "finished": result.finished} for result in results],
    }


def _picked(wanted: Wanted) -> tuple[Task, ...]:
    every = load_tasks()
    tasks = chosen(every, kinds=wanted.classes, ids=wanted.tasks)
    if not tasks:
        kinds = ", ".join(dict.fromkeys(task.kind for task in every))
        raise PotluckError("No task is of this id and class.", fix=f"Classes: {kinds}.")
    return tasks * wanted.repeat


async def _evaluate(
    settings: Settings, wanted: Wanted, tasks: Sequence[Task], console: Console
) -> list[Result]:
    results: list[Result] = []
    if wanted.simulated is not None:
        played = _simulated(settings, wanted.simulated, tasks, wanted.seed)
        return await _shown(played, wanted.simulated, len(tasks), console)
    refs = await refs_on(settings, wanted.models)
    _agree(requests_of(tasks) * len(refs), refs, wanted, console)
    async with live_engine(settings) as engine:
        for ref in refs:
            async with live_model(engine, ref) as model:
                played = play(tasks, model.stage, model.player, model.counter, model=ref)
                results += await _shown(played, ref, len(tasks), console)
    return results


async def _simulated(
    settings: Settings, kind: ModelKind, tasks: Sequence[Task], seed: int
) -> AsyncIterator[Result]:
    policy = fresh_model(kind, load_tasks(), seed)
    async with (
        simulated_model(policy) as model,
        simulated_stage(model, settings) as (stage, player, _),
    ):
        async for result in play(tasks, stage, player, model, model=kind):
            yield result


async def _shown(
    played: AsyncIterator[Result], model: str, count: int, console: Console
) -> list[Result]:
    """The results, with a bar beside them while they come."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    results: list[Result] = []
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        shown = bar.add_task(model, total=count)
        async for result in played:
            results.append(result)
            bar.update(shown, advance=1, description=f"{model} {result.task}")
    return results


def _agree(requests: int, refs: Sequence[str], wanted: Wanted, console: Console) -> None:
    if requests <= ASK_FROM or wanted.yes:
        return
    text = f"This takes about {requests:,} requests of your quota ({', '.join(refs)})."
    if not sys.stdin.isatty():
        raise PotluckError(text, fix="Add --yes, or fewer tasks: --class chat, --task 'tool-*'.")
    if not Confirm.ask(f"{text} Go on?", console=console, default=False):
        raise PotluckError(
            "Nothing was asked.", fix="Choose fewer tasks: --class chat, --task 'tool-*'."
        )
