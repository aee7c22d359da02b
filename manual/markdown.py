"""Markdown as the pages use it: tables, code, lists of words."""

import re
from collections.abc import Iterable, Sequence

_SPLIT = re.compile(r"(?<!\\)\|")


def code(text: object) -> str:
    """The text as code."""
    return f"`{text}`"


def any_of(words: Sequence[str]) -> str:
    """`a`, `b` or `c`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; line ends and bars in cells are made harmless."""
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def cells(line: str) -> list[str]:
    """The cells of a line of a table."""
    return [cell.strip() for cell in _SPLIT.split(line.strip().strip("|"))]


def from_elsewhere(text: str, page: str) -> str:
    """Text of a page of docs/ whose links work one folder deeper, too."""
    moved = re.sub(r"\]\(#", f"]({page}#", text)
    return re.sub(r"\]\((?!https?:|/)", "](../", moved)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
