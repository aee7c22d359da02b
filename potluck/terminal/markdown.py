"""Markdown as models write it, on a terminal: piece by piece, and with nothing left out."""

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.segment import Segment

# Colours of the terminal's own, so that code is readable on a light and on a dark one
CODE_THEME = "ansi_dark"
# How often a block is read while it doubles its length
LOOKS = 16
_FENCES = ("```", "~~~")
_TABLE_LINE = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*\n?")
# rich shows none of these, and their text would be lost: they stay as they were written
_UNSHOWN = ["html_block", "html_inline", "image", "reference"]


class MarkdownStream:
    """Text that is being written: blocks that are whole come out once, the rest is still open."""

    def __init__(self) -> None:
        self._text = ""
        self._parser = _parser()
        self._next_look = 0

    @property
    def rest(self) -> str:
        """What may still change with the next piece."""
        return self._text

    def add(self, piece: str) -> str:
        """Take a piece; gives the blocks that it finished, as they were written."""
        self._text += piece
        # A long block is not read anew with each of its lines, which would take ever longer
        if "\n" not in piece or len(self._text) < self._next_look:
            return ""
        # A line that is not whole yet may turn out to go on with the block before it
        whole = self._text[: self._text.rindex("\n") + 1]
        start = _last_block(self._parser.parse(whole))
        lines = whole.splitlines(keepends=True)
        finished = "".join(lines[:start])
        self._text = self._text[len(finished) :]
        self._next_look = len(self._text) + len(self._text) // LOOKS if not finished else 0
        return finished

    def take_rest(self) -> str:
        """All that is left, as if it were whole."""
        rest, self._text = self._text, ""
        self._next_look = 0
        return rest


def rendered(text: str) -> "Trimmed":
    """The text for rich to print. Addresses are spelled out, as nobody sees where a link leads."""
    markdown = Markdown("", code_theme=CODE_THEME, hyperlinks=False)
    markdown.parsed = _kept_lines(_parser().parse(text))
    return Trimmed(markdown)


def end_of(text: str, lines: int, chars: int) -> str:
    """The end of a long block as the same kind of block: code, a table, a list, a paragraph."""
    if len(text) <= chars and text.count("\n") <= lines:
        return text
    every = text.splitlines(keepends=True)
    head: list[str] = []
    if every[0].lstrip().startswith(_FENCES):
        head = every[:1]
    elif len(every) > 1 and "|" in every[0] and _TABLE_LINE.fullmatch(every[1]):
        head = every[:2]
    return "".join(head) + "".join(every[len(head) :][-lines:])[-chars:]


class Trimmed:
    """Lines without the space that fills them up, which would come along when they are copied."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The same lines, each as long as what stands on it."""
        for line in console.render_lines(self._inner, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                text, style, control = line.pop()
                line.append(Segment(text.rstrip(), style, control))
            yield from line
            yield Segment.line()


def _parser() -> MarkdownIt:
    return MarkdownIt().enable(["strikethrough", "table"]).disable(_UNSHOWN)


def _last_block(tokens: Sequence[Token]) -> int:
    """The line at which the last block of the document begins."""
    starts = [token.map[0] for token in tokens if token.level == 0 and token.map]
    return max(starts, default=0)


def _kept_lines(tokens: list[Token]) -> list[Token]:
    """The tokens with line ends where the model put them."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
    return tokens
