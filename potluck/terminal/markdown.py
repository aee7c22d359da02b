"""Markdown as models write it, on a terminal: piece by piece, and with nothing left out."""

from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.segment import Segment

# Colours of the terminal's own, so that code is readable on a light and on a dark one
CODE_THEME = "ansi_dark"
# rich shows none of these, and their text would be lost: they stay as they were written
_UNSHOWN = ["html_block", "html_inline", "image", "reference"]


class MarkdownStream:
    """Text that is being written: blocks that are whole come out once, the rest is still open."""

    def __init__(self) -> None:
        self._text = ""
        self._parser = _parser()

    @property
    def rest(self) -> str:
        """What may still change with the next piece."""
        return self._text

    def add(self, piece: str) -> str:
        """Take a piece; gives the blocks that it finished, as they were written."""
        self._text += piece
        if "\n" not in piece:
            return ""
        # A line that is not whole yet may turn out to go on with the block before it
        whole = self._text[: self._text.rindex("\n") + 1]
        start = _last_block(self._parser.parse(whole))
        lines = whole.splitlines(keepends=True)
        finished = "".join(lines[:start])
        self._text = self._text[len(finished) :]
        return finished

    def take_rest(self) -> str:
        """All that is left, as if it were whole."""
        rest, self._text = self._text, ""
        return rest


def rendered(text: str) -> "Trimmed":
    """The text for rich to print. Addresses are spelled out, as nobody sees where a link leads."""
    markdown = Markdown("", code_theme=CODE_THEME, hyperlinks=False)
    markdown.parsed = _kept_lines(_parser().parse(text))
    return Trimmed(markdown)


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
