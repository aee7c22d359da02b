"""Options that commands share, or that take room: their names, help and what shells suggest."""

from typing import Annotated

import typer

from potluck.terminal.completion import complete_model, complete_thread

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Thread = Annotated[
    str | None,
    typer.Option(
        "--thread",
        "-t",
        help="Thread to go on with: its id, or a name of your own.",
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
        autocompletion=complete_thread,
    ),
]
DroppedThread = Annotated[
    str | None,
    typer.Option(
        "--cancel",
        metavar="ID",
        help="Drop this thread's parked run.",
        autocompletion=complete_thread,
    ),
]
