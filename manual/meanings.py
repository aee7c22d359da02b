"""What the guides say of each word: their tables are where meanings are written, once."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from manual.markdown import cells, from_elsewhere
from potluck.settings import PROJECT_DIR

_NAMES = re.compile(r"`([^`]+)`")
GUIDE = "configuration.md"
TOOLS = "tools.md"


type Meanings = Mapping[str, tuple[str, str]]
"""Of each word, what it means, and what holds when it is left out, as the guide has it."""


def setting_meanings() -> Meanings:
    """The settings; where the guide to tools says more, as it has it."""
    return {**_meanings(GUIDE, "setting"), **_meanings(TOOLS, "setting in")}


def provider_meanings() -> Meanings:
    """The words of a provider."""
    return _meanings(GUIDE, "word", after="Of a provider:")


def model_meanings() -> Meanings:
    """The words of a model."""
    return _meanings(GUIDE, "word", after="Of a model:")


def limits_meanings() -> Meanings:
    """The words of limits.yaml, such as `waiting.interactive_seconds`."""
    return _meanings(GUIDE, "word", after="## Limits: ")


def tools_meanings() -> Meanings:
    """The words of tools.yaml."""
    return _meanings(TOOLS, "word", after="## Every word of tools.yaml")


def server_meanings() -> Meanings:
    """The words of a server of mcp.json."""
    return _meanings(TOOLS, "word", after="## MCP servers")


def _meanings(page: str, head: str, *, after: str = "") -> Meanings:
    return {
        name: (row[1], row[-1]) for row in _rows(page, head, after=after) for name in _names(row)
    }


def _rows(page: str, head: str, *, after: str) -> Iterator[list[str]]:
    """The rows of the first table that begins with `head` and stands after a line that does."""
    lines = iter(_text(page).splitlines())
    if after:
        next((line for line in lines if line.startswith(after)), None)
    next((line for line in lines if line.startswith(f"| {head}")), None)
    for line in lines:
        if not line.startswith("|"):
            return
        if not line.startswith("|--"):
            yield [from_elsewhere(cell, page) for cell in cells(line)]


def _names(row: list[str]) -> list[str]:
    return _NAMES.findall(row[0])


@cache
def _text(page: str) -> str:
    return (PROJECT_DIR / "docs" / page).read_text("utf-8")
