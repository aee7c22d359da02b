"""What a check finds: facts, each with the fix where something is to be mended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

from potluck.terminal.screen import printable

State = Literal["ok", "off", "bad"]
MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "off": ("·", "dim"),
    "bad": ("✗", "red"),
}


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
    """Each fact on a line, with the fix, if any, on the next."""
    width = max(len(fact.name) for fact in facts)
    for fact in facts:
        mark, style = MARKS[fact.state]
        name, text = (fact.name.ljust(width), "bold"), printable(fact.text)
        console.print(Text.assemble((f"{mark} ", style), name, "  ", text), soft_wrap=True)
        if fact.fix:
            fix = f"{' ' * (width + 4)}{printable(fact.fix)}"
            console.print(Text(fix, style="dim"), soft_wrap=True)
