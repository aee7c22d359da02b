"""The commands of `potluck`; what is heavy is imported when its command runs."""

import io
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from potluck.cli_data import commands as data_commands
from potluck.cli_data import print_json
from potluck.errors import PotluckError
from potluck.terminal.help import epilog, exit_codes
from potluck.terminal.options import (
    DroppedThread,
    Json,
    Last,
    Model,
    Models,
    ParkedThread,
    Port,
    Thread,
    Url,
    Version,
)

INTERRUPTED = 130

app = typer.Typer(
    help="A self-hosted agent server on the free tiers of cloud LLMs.",
    epilog=exit_codes(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def potluck(*, version: Version = False) -> None:
    """Take what stands before the command."""


@app.command(epilog=epilog("serve"))
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8123,
) -> None:
    """Serve every door in one process: LangGraph API, OpenAI, LangServe."""
    from potluck.server.serve import serve as start  # noqa: PLC0415 - quick --help
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help

    start(Settings.load(), host=host, port=port)


@app.command(epilog=epilog("chat"))
def chat(  # noqa: PLR0913 - each is an option of its own
    message: Annotated[
        str | None, typer.Argument(help="One question; none: a conversation.", show_default=False)
    ] = None,
    *,
    thread: Thread = None,
    last: Last = False,
    model: Model = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Talk with the agent: its answer, and what it does for it.

    What comes through a pipe belongs to the question. Only the answer goes to standard output.
    Exit code 4 if one question waits for your approval: go on with its thread.
    """
    if thread is not None and last:
        raise typer.BadParameter("Either --thread or --last, not both.")
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal.chat import chat as talk  # noqa: PLC0415 - quick --help

    raise typer.Exit(
        talk(
            Settings.load(),
            message=message,
            thread=thread,
            last=last,
            model=model,
            url=url,
            as_json=as_json,
        )
    )


@app.command(epilog=epilog("check"))
def check(
    *,
    as_json: Json = False,
    no_calls: Annotated[
        bool, typer.Option("--no-calls", help="Ask no provider for an answer.")
    ] = False,
) -> None:
    """Show what works and what does not, with the fix; exit code 1 if something must be mended.

    Each provider that is on is asked for one tiny answer.
    """
    from rich.console import Console  # noqa: PLC0415 - quick --help

    from potluck.terminal.check import check as look  # noqa: PLC0415 - quick --help
    from potluck.terminal.facts import print_facts, works  # noqa: PLC0415 - quick --help

    facts = look(calls=not no_calls)
    if as_json:
        print_json({"ok": works(facts), "facts": [asdict(fact) for fact in facts]})
    else:
        print_facts(facts, Console(highlight=False))
    if not works(facts):
        raise typer.Exit(1)


@app.command(epilog=epilog("models"))
def models(
    *,
    as_json: Json = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Ask each provider that is on what it serves today, and compare."
        ),
    ] = False,
) -> None:
    """Show the catalog of models: what is on, what each can do, its limits.

    With --refresh: what is new, gone or replaced, and the lines that mend providers.yaml; exit
    code 3 if a model of the catalog is gone or replaced, 1 if a provider could not be asked.
    """
    from rich.console import Console  # noqa: PLC0415 - quick --help

    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal.models import models as look  # noqa: PLC0415 - quick --help
    from potluck.terminal.models import print_models  # noqa: PLC0415 - quick --help

    if refresh:
        _refresh(as_json=as_json)
        return
    rows = look(Settings.load())
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_models(rows, Console(highlight=False))


def _refresh(*, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - quick --help

    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal.refresh import (  # noqa: PLC0415 - quick --help
        as_values,
        exit_code,
        print_changes,
        refresh,
    )

    changes = refresh(Settings.load(), Console(stderr=True))
    if as_json:
        print_json(as_values(changes))
    else:
        print_changes(changes, Console(highlight=False))
    raise typer.Exit(exit_code(changes))


@app.command(epilog=epilog("usage"))
def usage(
    *,
    as_json: Json = False,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to sum up.")] = 1,
    resume: ParkedThread = None,
    cancel: DroppedThread = None,
) -> None:
    """Show the quota left per provider, model and window, advice, parked runs, and what was used.

    Exit code 3 if no model can be asked now.
    """
    from rich.console import Console  # noqa: PLC0415 - quick --help

    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal import usage as parts  # noqa: PLC0415 - quick --help
    from potluck.terminal.usage_table import print_usage  # noqa: PLC0415 - quick --help

    if resume is not None and cancel is not None:
        raise typer.BadParameter("Either --resume or --cancel, not both.")
    settings = Settings.load()
    if resume is not None or cancel is not None:
        done = (
            parts.resume(settings, resume)
            if resume is not None
            else parts.cancel(settings, cancel or "")
        )
        if as_json:
            print_json(asdict(done))
        else:
            typer.echo(str(done))
        return
    report = parts.usage(settings, days=days)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_usage(report, Console(highlight=False))
    if report.is_out:
        raise typer.Exit(3)


@app.command(epilog=epilog("simulate"))
def simulate(
    port: Port = 9100,
    speed: Annotated[
        float | None, typer.Option(min=0.001, help="How fast its clock runs.", show_default="1")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Limits, faults and replies: a YAML file or a ready one.")
    ] = None,
) -> None:
    """Play every provider on this machine, with no key and no network."""
    from potluck.simulator.server import run  # noqa: PLC0415 - quick --help

    if port:
        server = f"POTLUCK_SIMULATOR=http://127.0.0.1:{port} potluck serve"
        typer.echo(f"In another terminal: {server}", err=True)
    run("127.0.0.1", port, speed=speed, scenario=scenario)


@app.command(name="eval", epilog=epilog("eval"))
def evaluate(  # noqa: PLR0913 - each is an option of its own
    *,
    model: Models = None,
    kind: Annotated[
        list[str] | None, typer.Option("--class", help="Only tasks of this class.")
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task; `tool-*` for all that begin so.")
    ] = None,
    simulated: Annotated[
        str | None, typer.Option(help="Play with a scripted model: strong, weak or contrary.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=100, help="How often each task is played.")] = 1,
    seed: Annotated[int, typer.Option(help="Luck of the scripted model.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Spend quota without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Play a suite of tasks with your models, or without any key with a scripted one.

    Exit code 3 if a run did not finish.
    """
    from rich.console import Console  # noqa: PLC0415 - quick --help

    from potluck.settings import Settings  # noqa: PLC0415 - quick --help
    from potluck.terminal import evaluation  # noqa: PLC0415 - quick --help
    from potluck.terminal.evaluation_table import print_results  # noqa: PLC0415 - quick --help

    wanted = evaluation.Wanted(
        models=tuple(model or ()),
        classes=tuple(kind or ()),
        tasks=tuple(task or ()),
        repeat=repeat,
        simulated=evaluation.model_kind(simulated),
        seed=seed,
        yes=yes,
    )
    results = evaluation.evaluate(Settings.load(), wanted, Console(stderr=True))
    if as_json:
        print_json(evaluation.as_values(results))
    else:
        print_results(results, Console(highlight=False))
    if not all(result.finished for result in results):
        raise typer.Exit(3)


app.add_typer(data_commands)


def main() -> None:
    """Run the command line; an error of ours ends as one readable line and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where it takes no UTF-8, one character must not cost the whole answer
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    except PotluckError as error:
        from potluck.terminal.screen import printable  # noqa: PLC0415 - quick --help

        typer.echo(printable(f"potluck: {error}"), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
