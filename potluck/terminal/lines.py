"""Lines beside tables: wrapped on a terminal, whole elsewhere."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from potluck.terminal.markdown import Trimmed


def print_line(text: str | Text, console: Console, style: str = "", *, indent: int = 0) -> None:
    """A line whose rest, where it is wrapped, is indented as far as it is itself.

    Where nobody looks, in a pipe or a file, it stays one line.
    """
    line = Text(text, style=style) if isinstance(text, str) else text
    if console.is_terminal:
        line.overflow = "fold"
        console.print(Trimmed(Padding(line, (0, 0, 0, indent))))
    else:
        console.print(Text(" " * indent) + line, soft_wrap=True)
