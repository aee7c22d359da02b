"""`potluck prune`: what has been kept for too long, or is too much, goes now."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from potluck.database import database_url, prepare_home
from potluck.errors import PotluckError
from potluck.pool import migrate
from potluck.providers.catalog_file import load_catalog
from potluck.server.retention import GiveUp, Sweep, Swept
from potluck.settings import Settings
from potluck.terminal.running import find
from potluck.terminal.usage import cancel

_NAMES = {
    "parked": "parked runs",
    "threads": "threads",
    "checkpoints": "past states of threads",
    "runs": "finished runs",
    "responses": "responses",
    "calls": "single calls",
    "sums": "daily sums of calls",
    "cache": "cached answers",
    "workspaces": "workspaces",
    "logs": "logs",
}


def prune(settings: Settings, *, dry: bool) -> list[Swept]:
    """Do what a running server does once an hour; with `dry` only tell what that would be.

    Raises PotluckError.
    """
    prepare_home(settings.potluck_home)
    catalog = load_catalog(settings.potluck_config_dir)
    sweep = Sweep(catalog, settings.potluck_home, _now, dry=dry, give_up=_given_up_by(settings))
    with database_url(settings) as url:
        return asyncio.run(_prune(sweep, url))


def print_swept(swept: Sequence[Swept], console: Console, *, dry: bool) -> None:
    """A row for each kind of which something goes."""
    rows = [one for one in swept if one.old or one.beyond]
    if not rows:
        console.print("Nothing is too old or too much.")
        return
    table = Table("what", box=None)
    for column in ("too old", "beyond the limit", "MB"):
        table.add_column(column, justify="right")
    for one in rows:
        size = f"{one.size_bytes / 1e6:,.1f}" if one.size_bytes else ""
        table.add_row(_NAMES[one.kind], f"{one.old:,}", f"{one.beyond:,}", size)
    console.print(table)
    if dry:
        console.print("Nothing was changed; without --dry-run all of this goes.")


async def _prune(sweep: Sweep, url: str) -> list[Swept]:
    await migrate(url)
    return await sweep.run(url)


def _given_up_by(settings: Settings) -> GiveUp | None:
    """Parked runs are the running server's; without one they stay until the next start."""
    if find(settings) is None:
        return None

    async def give_up(thread_id: str) -> bool:
        try:
            await asyncio.to_thread(cancel, settings, thread_id)
        except PotluckError:
            return False
        return True

    return give_up


def _now() -> datetime:
    return datetime.now(UTC)
