"""The commands of `potluck` for what it keeps: notes, prune, backup, restore."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from potluck.terminal.help import epilog
from potluck.terminal.options import Json

commands = typer.Typer()


def print_json(value: object) -> None:
    """What `--json` prints."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


@commands.command(epilog=epilog("notes"))
def notes(
    *,
    as_json: Json = False,
    forget: Annotated[
        str | None, typer.Option(metavar="ID", help="Delete the note with this id.")
    ] = None,
    user: Annotated[
        str, typer.Option(help="Whose: a key's name, or KEY/USER; default: the first key's.")
    ] = "",
) -> None:
    """Show what the agent was told to remember, with the id of each note."""
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal import notes as parts  # noqa: PLC0415 - quick --help
    from potluck.terminal.screen import printable  # noqa: PLC0415 - quick --help

    settings = Settings.load()
    if forget is not None:
        gone = parts.forget(settings, forget, user)
        if as_json:
            print_json(asdict(gone))
        else:
            typer.echo(printable(f"Forgotten: {gone.text}"))
        return
    kept = parts.notes(settings, user)
    if as_json:
        print_json([asdict(note) for note in kept])
        return
    for note in kept:
        typer.echo(printable(f"{note.id}  {note.text}"))
    if not kept:
        typer.echo('Nothing is noted. Tell the agent: "Remember that ..."', err=True)


@commands.command(epilog=epilog("prune"))
def prune(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would go; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete now what has been kept for too long, or is too much, as `retention` says.

    A running server does this once an hour. Threads at work or parked are left alone.
    """
    from rich.console import Console  # noqa: PLC0415 - quick --help

    from potluck.server.retention import as_values  # noqa: PLC0415 - quick --help
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal import prune as parts  # noqa: PLC0415 - quick --help

    swept = parts.prune(Settings.load(), dry=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "swept": as_values(swept)})
    else:
        parts.print_swept(swept, Console(highlight=False), dry=dry_run)


@commands.command(epilog=epilog("backup"))
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
    *,
    force: Force = False,
) -> None:
    """Write the data folder (threads, usage, workspaces) into one file; a server may run.

    Keys and configuration are not in it.
    """
    from potluck.backup import backup as save  # noqa: PLC0415 - quick --help
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal.backup import told, written  # noqa: PLC0415 - quick --help

    with told() as tell:
        summary = save(Settings.load(), file.expanduser().absolute(), force=force, tell=tell)
    typer.echo(written("Saved", summary))


@commands.command(epilog=epilog("restore"))
def restore(
    file: Annotated[Path, typer.Argument(help="A file made by `backup`.", show_default=False)],
    *,
    force: Force = False,
) -> None:
    """Make the data folder what it was when the backup was made. Stop the server before.

    With --force the data that is there is replaced; what does not work out changes nothing.
    """
    from potluck.backup import restore as bring_back  # noqa: PLC0415 - quick --help
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal.backup import told, written  # noqa: PLC0415 - quick --help

    with told() as tell:
        summary = bring_back(Settings.load(), file.expanduser().absolute(), force=force, tell=tell)
    typer.echo(written("Restored", summary))
