"""The tables of `potluck eval`: each model by class, and what was wrong."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from potluck.evaluation.record import Result
from potluck.evaluation.suite import Summary, by_class, mean_seconds, summed
from potluck.terminal.screen import printable

SHOWN_CHARS = 100


def print_results(results: Sequence[Result], console: Console) -> None:
    """A table for each model, and a line for each run that did not finish."""
    for model in dict.fromkeys(result.model for result in results):
        own = [result for result in results if result.model == model]
        console.print(_table(model, own))
    unfinished = [result for result in results if not result.finished]
    for result in unfinished:
        why = printable("; ".join(result.wrong) or result.ending)
        console.print(f"{result.model} {result.task}: {why[:SHOWN_CHARS]}", markup=False)


def _table(model: str, results: Sequence[Result]) -> Table:
    table = Table("class", title=printable(model), title_justify="left")
    for name in ("finished", "requests", "tokens", "loops", "errors", "seconds"):
        table.add_column(name, justify="right")
    for kind, own in by_class(results).items():
        _add(table, kind, summed(model, own), own)
    table.add_section()
    _add(table, "all", summed(model, results), results)
    table.caption = "requests and tokens: for each finished task"
    return table


def _add(table: Table, name: str, summary: Summary, results: Sequence[Result]) -> None:
    table.add_row(
        name,
        f"{summary.finished}/{summary.runs}",
        f"{summary.requests:.1f}",
        f"{summary.tokens:,.0f}",
        str(summary.loops),
        str(summary.errors),
        f"{mean_seconds(results):.1f}",
    )
