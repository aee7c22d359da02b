"""Options that commands share, or that take room: their names, help and what shells suggest."""

from importlib.metadata import version
from typing import Annotated

import typer

from potluck.terminal.completion import complete_model, complete_thread


def _as_text(value: str | None) -> str | None:
    """What was typed. Raises BadParameter when it is no text."""
    try:
        (value or "").encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter("That is no text in UTF-8.") from error
    return value


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - Typer's signature
    if wanted:
        typer.echo(f"potluck {version('potluck')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_tell_version, is_eager=True),
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Server to talk to; default: the one on this data folder.", callback=_as_text
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Thread = Annotated[
    str | None,
    typer.Option(
        "--thread",
        "-t",
        help="Thread to go on with: its id, or a name of your own.",
        callback=_as_text,
        autocompletion=complete_thread,
    ),
]
Last = Annotated[
    bool, typer.Option("--last", help="Go on with the thread that a terminal used last.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Model to ask first, as provider/model or a part of it.",
        callback=_as_text,
        autocompletion=complete_model,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        help="Model to evaluate, `provider/id`; default: all on.",
        autocompletion=complete_model,
    ),
]
ParkedThread = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="ID",
        help="Have this thread's parked run go on at once.",
        callback=_as_text,
        autocompletion=complete_thread,
    ),
]
DroppedThread = Annotated[
    str | None,
    typer.Option(
        "--cancel",
        metavar="ID",
        help="Drop this thread's parked run.",
        callback=_as_text,
        autocompletion=complete_thread,
    ),
]
