"""Writes the pages of docs/ that are made from the code; `--check` only says which are old."""

import sys
from typing import Annotated

import typer

from manual.pages import old_pages, write_pages

COMMAND = "uv run python -m manual"


Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if one is old.")]


def main(*, check: Check = False) -> None:
    """Write the pages that differ from what the code says, and name them."""
    old = old_pages()
    for path in old:
        sys.stdout.write(f"{path}\n")
    if check and old:
        sys.stderr.write(f"These pages are old. Renew them: {COMMAND}\n")
        raise typer.Exit(1)
    if not check:
        write_pages()


if __name__ == "__main__":
    typer.run(main)
