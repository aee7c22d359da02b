"""Small data folders, and the command line that works on them."""

import asyncio
import os
import sys
from pathlib import Path

import psycopg

from potluck.database import database_url
from potluck.pool import migrate
from potluck.settings import Settings
from tools.workspace import folder_of

COMMAND = (sys.executable, "-m", "potluck")


def settings(home: Path) -> Settings:
    return Settings(potluck_home=home, database_url=None)


def environment(home: Path) -> dict[str, str]:
    """Nothing of this machine's own settings."""
    foreign = ("DATABASE_URL", "REDIS_URL", "POTLUCK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    here = {"POTLUCK_HOME": str(home), "POTLUCK_ENV_FILE": str(home / ".env")}
    return kept | here


def quiet(_: str) -> None:
    return None


def small_home(home: Path) -> Path:
    """A data folder with one row and one file."""
    with database_url(settings(home)) as url:
        asyncio.run(migrate(url))
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO potluck.parked_runs VALUES"
                " ('t', 'r', now(), now(), 'out', '{}', '{}', '{}', NULL, 1)"
            )
    workspace = folder_of(home, "t")
    workspace.mkdir(parents=True)
    (workspace / "notes.txt").write_text(home.name)
    return home


def parked_in(home: Path) -> list[str]:
    with database_url(settings(home)) as url, psycopg.connect(url) as connection:
        return [one for (one,) in connection.execute("SELECT thread_id FROM potluck.parked_runs")]


def databases_in(home: Path) -> list[str]:
    with database_url(settings(home)) as url, psycopg.connect(url) as connection:
        return sorted(name for (name,) in connection.execute("SELECT datname FROM pg_database"))
