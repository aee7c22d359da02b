"""What a check finds: facts, each with the fix where something is to be mended."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from potluck.terminal.lines import print_line
from potluck.terminal.screen import printable

State = Literal["ok", "off", "bad"]
MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "off": ("·", "dim"),
    "bad": ("✗", "red"),
}
SUMMARY: dict[State, str] = {"ok": "fine", "off": "off", "bad": "to be mended"}
# Columns below which a table would be all line ends
NARROW = 60


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that works, is off, or is bad: then with what to do about it."""

    name: str
    state: State
    text: str
    fix: str | None = None


def works(facts: Sequence[Fact]) -> bool:
    """Whether everything that must work does."""
    return all(fact.state != "bad" for fact in facts)


def print_facts(facts: Sequence[Fact], console: Console) -> None:
    """Each fact with its fix below: a table on a terminal, lines that are not wrapped elsewhere."""
    if not console.is_terminal:
        _print_lines(facts, console)
    elif console.width >= NARROW:
        console.print(_table(facts))
    else:
        _print_narrow(facts, console)
    counts = Counter(fact.state for fact in facts)
    told = [f"{counts[state]} {words}" for state, words in SUMMARY.items() if counts[state]]
    console.print(Text(f"{', '.join(told)}.", style=_summary_style(counts)), soft_wrap=True)


def _summary_style(counts: Mapping[State, int]) -> str:
    return "red" if counts["bad"] else "green"


def _table(facts: Sequence[Fact]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for fact in facts:
        mark, style = MARKS[fact.state]
        text = Text(printable(fact.text), style="dim" if fact.state == "off" else "")
        if fact.fix:
            text.append(
                f"\n{printable(fact.fix)}", style="yellow" if fact.state == "bad" else "dim"
            )
        table.add_row(Text(mark, style=style), Text(printable(fact.name)), text)
    return table


def _print_narrow(facts: Sequence[Fact], console: Console) -> None:
    for fact in facts:
        mark, style = MARKS[fact.state]
        console.print(Text.assemble((f"{mark} ", style), (printable(fact.name), "bold")))
        print_line(printable(fact.text), console, "dim" if fact.state == "off" else "", indent=2)
        if fact.fix:
            fix_style = "yellow" if fact.state == "bad" else "dim"
            print_line(printable(fact.fix), console, fix_style, indent=2)


def _print_lines(facts: Sequence[Fact], console: Console) -> None:
    width = max(len(fact.name) for fact in facts)
    for fact in facts:
        mark, style = MARKS[fact.state]
        name, text = (fact.name.ljust(width), "bold"), printable(fact.text)
        console.print(Text.assemble((f"{mark} ", style), name, "  ", text), soft_wrap=True)
        if fact.fix:
            fix = f"{' ' * (width + 4)}{printable(fact.fix)}"
            console.print(Text(fix, style="dim"), soft_wrap=True)
