"""`python -m benchmarks.mind [--quick]`: what a finished task costs, and how many are finished."""

import argparse
import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.mind_contenders import PEERS, REQUIREMENTS, contend
from benchmarks.peers import PeerMissingError, default_folder, python_with
from benchmarks.report import Figure, compare, report
from potluck.evaluation.models import ModelKind
from potluck.evaluation.record import Result
from potluck.evaluation.suite import by_class, summed
from potluck.evaluation.task import Task
from potluck.evaluation.task_file import load_tasks

QUICK_SEEDS = 1
QUICK_TASKS = 2
SEEDS = 3
OWN = ("potluck", "potluck, 1 model")

type Runs = Mapping[tuple[ModelKind, int], list[Result]]


def main() -> None:
    """Run every contender and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one luck of the weak models")
    quick = parser.parse_args().quick
    seeds = QUICK_SEEDS if quick else SEEDS
    kinds: list[tuple[ModelKind, int]] = [("strong", 0)]
    kinds += [("weak", seed) for seed in range(seeds)]
    kinds.append(("contrary", 0))
    tasks = _few(load_tasks()) if quick else load_tasks()
    runs, missing = asyncio.run(_contest(tasks, kinds))
    _tables(runs)
    peers = {name: _figures(own) for name, own in runs.items()} | missing
    report("mind", _aims(runs, tasks), peers)


async def _contest(
    tasks: Sequence[Task], kinds: Sequence[tuple[ModelKind, int]]
) -> tuple[dict[str, Runs], dict[str, str]]:
    runs: dict[str, Runs] = {}
    missing: dict[str, str] = {}
    python: Path | None = None
    try:
        python = await asyncio.to_thread(python_with, "mind", REQUIREMENTS, default_folder())
    except PeerMissingError as error:
        missing = dict.fromkeys(PEERS, str(error))
    names = (*OWN, *(PEERS if python else ()))
    done = await asyncio.gather(
        *(contend(name, tasks, kinds, python) for name in names), return_exceptions=True
    )
    for name, result in zip(names, done, strict=True):
        if isinstance(result, PeerMissingError):
            missing[name] = str(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            runs[name] = result
    return runs, missing


def _few(tasks: Sequence[Task]) -> list[Task]:
    """The first tasks of each class."""
    seen: Counter[str] = Counter()
    few: list[Task] = []
    for task in tasks:
        seen[task.kind] += 1
        if seen[task.kind] <= QUICK_TASKS:
            few.append(task)
    return few


def _of(runs: Runs, kind: ModelKind) -> list[Result]:
    return [result for (one, _), results in runs.items() if one == kind for result in results]


def _tables(runs: Mapping[str, Runs]) -> None:
    names = list(runs)
    classes = list(by_class(_of(runs[OWN[0]], "strong")))
    kinds: tuple[ModelKind, ...] = ("strong", "weak", "contrary")
    for kind in kinds:
        rows: dict[str, list[object]] = {}
        by_name = {name: by_class(_of(runs[name], kind)) for name in names}
        for one in classes:
            sums = [summed(name, by_name[name][one]) for name in names]
            rows[one] = [f"{s.requests:.1f} ({s.finished}/{s.runs})" for s in sums]
        sums = [summed(name, _of(runs[name], kind)) for name in names]
        rows["requests a finished task"] = [round(s.requests, 2) for s in sums]
        rows["tokens a finished task"] = [round(s.tokens) for s in sums]
        rows["finished"] = [f"{s.share:.1%}" for s in sums]
        rows["loops and unhandled errors"] = [f"{(s.loops + s.errors) / s.runs:.1%}" for s in sums]
        compare(f"{kind} model: requests a finished task (finished)", names, rows)


def _figures(runs: Runs) -> dict[str, object]:
    kinds: tuple[ModelKind, ...] = ("strong", "weak", "contrary")
    return {
        kind: summed(kind, _of(runs, kind)).as_json()
        | {
            "by_class": {
                one: {"requests": round(s.requests, 2), "tokens": round(s.tokens), "share": s.share}
                for one, results in by_class(_of(runs, kind)).items()
                for s in [summed(one, results)]
            }
        }
        for kind in kinds
    }


def _aims(runs: Mapping[str, Runs], tasks: Sequence[Task]) -> list[Figure]:
    own = runs[OWN[0]]
    strong, weak, contrary = (_of(own, kind) for kind in ("strong", "weak", "contrary"))
    classes = by_class(strong)
    most = {task.id: 1 + -(-len(task.steps) // 3) + 1 for task in tasks if task.kind == "thinking"}
    over = sum(result.requests - most[result.task] for result in classes["thinking"])
    every = [*strong, *weak, *contrary]
    bad = sum(result.ending != "answered" for result in every)
    figures = [
        Figure("tasks in the suite", len(load_tasks()), "tasks", ">= 40"),
        Figure("finished, strong model", 100 * summed("", strong).share, "%", ">= 100"),
        Figure("finished, weak model", 100 * summed("", weak).share, "%", ">= 90"),
        Figure("finished, contrary model", 100 * summed("", contrary).share, "%"),
        Figure("requests for chat", summed("", classes["chat"]).requests, "requests", "<= 1"),
        Figure(
            "requests for one tool", summed("", classes["one_tool"]).requests, "requests", "<= 2"
        ),
        Figure("requests beyond 1 + ceil(n/3) + 1 for n thinking steps", over, "requests", "<= 0"),
        Figure("loops and unhandled errors", 100 * bad / len(every), "%", "<= 0"),
    ]
    more = _classes_with_more(runs)
    figures.append(
        Figure("classes in which a peer needs fewer requests", len(more), "classes", "<= 0")
    )
    return figures


def _classes_with_more(runs: Mapping[str, Runs]) -> list[str]:
    """The classes of which a peer that finishes as much asks less often."""
    own = by_class(_of(runs[OWN[0]], "strong"))
    found: list[str] = []
    for kind, results in own.items():
        ours = summed(kind, results)
        theirs = [
            summed(name, by_class(_of(runs[name], "strong"))[kind])
            for name in PEERS
            if name in runs
        ]
        if any(s.share >= ours.share and s.requests < ours.requests for s in theirs):
            found.append(kind)
    return found


if __name__ == "__main__":
    main()
