"""The reference of the commands, as `potluck --help` tells them."""

import inspect
import re
from collections.abc import Iterator

import typer.main
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from manual.markdown import code, table
from potluck.cli import app

# Typer's own way of telling default and range; in Markdown, brackets make a link
_BOUNDS = re.compile(r"\s*\[([^\]]*)\]$")
INTRO = """\
# Every command

From the project's folder each is `uv run potluck ...`; `--help` says the same."""


def commands_page() -> str:
    """The whole page."""
    group = typer.main.get_group(app)
    return "\n\n".join([INTRO, *_commands(group, "potluck"), *_epilog(group)])


def _commands(group: TyperGroup, name: str) -> Iterator[str]:
    for word, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{name} {word}")
        elif isinstance(command, TyperCommand):
            yield from _command(command, f"{name} {word}")


def _command(command: TyperCommand, name: str) -> Iterator[str]:
    yield f"## {code(name)}"
    yield inspect.cleandoc(command.help or "")
    context = typer.Context(command, info_name=name)
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [(code(one[0]), _BOUNDS.sub(r" (\1)", one[1])) for one in records if one is not None]
    if rows:
        yield table(("option", "meaning"), rows)
    yield from _epilog(command)


def _epilog(command: TyperCommand | TyperGroup) -> Iterator[str]:
    """What stands below the options: its first line as a title, the others as they are."""
    if not command.epilog:
        return
    title, *lines = Text.from_markup(command.epilog).plain.splitlines()
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    yield f"{title}:"
    yield "\n".join(["```text", *(line[depth:].rstrip() for line in lines), "```"])
