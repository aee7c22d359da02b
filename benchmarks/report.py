"""How every benchmark reports: a table for people, and one line of JSON as the last line."""

import json
import operator
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import psutil
from rich.console import Console
from rich.table import Table

_COMPARE = {"<=": operator.le, "<": operator.lt, ">=": operator.ge, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value beside its aim, such as `<= 60`; an empty aim is only for information."""

    name: str
    value: float
    unit: str
    aim: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if not self.aim:
            return None
        sign, bound = self.aim.split()
        return bool(_COMPARE[sign](self.value, float(bound)))


def compare(title: str, contenders: Sequence[str], rows: Mapping[str, Sequence[object]]) -> None:
    """Print contenders beside each other, a row for each figure; None is left blank."""
    table = Table("figure", title=title)
    for contender in contenders:
        table.add_column(contender, justify="right")
    for name, values in rows.items():
        table.add_row(name, *("" if value is None else _shown(value) for value in values))
    Console(width=110).print(table)


def report(name: str, figures: Sequence[Figure], peers: Mapping[str, object]) -> None:
    """Print the table and the closing line of JSON."""
    table = Table(title=f"benchmark: {name}")
    for column in ("figure", "value", "unit", "aim", "met"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for figure in figures:
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        table.add_row(figure.name, _shown(figure.value), figure.unit, figure.aim, met)
    Console(width=110).print(table)
    machine = {
        "cpus": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    aims = [
        {**asdict(figure), "value": round(figure.value, 2), "met": figure.met} for figure in figures
    ]
    print(json.dumps({"benchmark": name, "machine": machine, "aims": aims, "peers": dict(peers)}))


def _shown(value: object) -> str:
    """A number as people read it: small ones with two digits after the point."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"
