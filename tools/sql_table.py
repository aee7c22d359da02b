"""The rows that a statement gave, as a model reads them best: a table, cut to size."""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_ROWS = 200
MAX_CELL_CHARS = 500


@dataclass(frozen=True, slots=True)
class Table:
    """At most `MAX_ROWS` rows; `more` when there were others. Without columns: what was done."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    more: bool = False
    changed: int = 0

    def __str__(self) -> str:
        if not self.columns:
            return f"Done: {self.changed} row{'' if self.changed == 1 else 's'} changed."
        lines = [
            _line(self.columns),
            _line(["---"] * len(self.columns)),
            *(_line(row) for row in self.rows),
        ]
        if not self.rows:
            lines.append("[no rows]")
        if self.more:
            lines.append(f"[only the first {MAX_ROWS} rows are shown: use LIMIT, WHERE or count()]")
        return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes | memoryview):
        return f"[{len(value):,} bytes]"
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text if len(text) <= MAX_CELL_CHARS else f"{text[:MAX_CELL_CHARS]}..."
