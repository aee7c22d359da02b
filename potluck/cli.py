"""The commands of `potluck`; heavy imports wait until their command runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from potluck.errors import PotluckError

app = typer.Typer(
    help="A self-hosted agent server on the free tiers of cloud LLMs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Port = 8123,
) -> None:
    """Serve every door in one process: LangGraph API, OpenAI, LangServe."""
    from potluck.server.serve import serve as run_server  # noqa: PLC0415 - quick --help
    from potluck.settings import Settings  # noqa: PLC0415 - quick --help

    run_server(Settings.load(), host=host, port=port)


@app.command()
def simulate(
    port: Port = 9100,
    speed: Annotated[float, typer.Option(min=0.001, help="How fast the clock runs.")] = 1.0,
    scenario: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="YAML file with rules, limits and faults."),
    ] = None,
) -> None:
    """Play every provider on this machine, with no key and no network."""
    from potluck.simulator.server import run  # noqa: PLC0415 - quick --help

    run("127.0.0.1", port, speed=speed, scenario=scenario)


def main() -> None:
    """Run the command line; an error of ours ends as one readable line and exit code 1."""
    try:
        app()
    except PotluckError as error:
        typer.echo(f"potluck: {error}", err=True)
        sys.exit(1)
