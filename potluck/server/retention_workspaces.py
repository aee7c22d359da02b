"""Workspaces that nobody has touched for long, or that are too much together."""

import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from psycopg import AsyncConnection

from potluck.server.retention_tables import has_threads
from potluck.server.retention_threads import AT_WORK
from tools.workspace import folder_of

_IN_USE = f"""
SELECT t.thread_id FROM public.thread AS t
WHERE t.updated_at >= %s OR t.status = 'busy' OR {AT_WORK.format(thread="t.thread_id")}
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Held:
    """One workspace: its folder, what it takes on the disk, and when something in it changed."""

    folder: Path
    size_bytes: int
    touched_at: datetime


class Workspaces:
    """The workspaces of a data folder, as they are at one moment."""

    def __init__(self, home: Path, now: datetime) -> None:
        self.held: list[Held] = []
        self._home = home
        self._now = now

    @staticmethod
    def of(home: Path, thread_id: str) -> Path:
        """The workspace of a thread."""
        return folder_of(home, thread_id)

    def look(self) -> None:
        """Read the folders; links are not followed."""
        try:
            with os.scandir(self._home / "workspaces") as entries:
                folders = [
                    Path(one.path)
                    for one in entries
                    # The sandbox keeps folders of its own there
                    if one.is_dir(follow_symlinks=False) and not one.name.startswith(".")
                ]
        except FileNotFoundError:
            return
        self.held = [held for folder in folders if (held := _held(folder)) is not None]

    def untouched_since(self, moment: datetime) -> list[Held]:
        """Those in which nothing has changed since then."""
        return [one for one in self.held if one.touched_at < moment]

    async def unused(
        self, connection: AsyncConnection, held: Collection[Held], since: datetime
    ) -> list[Held]:
        """Those of them whose thread is gone, or not at work and not used since then."""
        if not held or not await has_threads(connection):
            return list(held)
        rows = await (await connection.execute(_IN_USE, [since])).fetchall()
        in_use = {folder_of(self._home, str(thread_id)) for (thread_id,) in rows}
        return [one for one in held if one.folder not in in_use]

    def beyond(
        self, most_bytes: float, spare: Iterable[Held], *, gone: Collection[Held]
    ) -> list[Held]:
        """Of the spare ones, the longest untouched, until the rest is not too much."""
        left = sum(one.size_bytes for one in self.held) - sum(one.size_bytes for one in gone)
        beyond = []
        for one in sorted(spare, key=lambda held: held.touched_at):
            if left <= most_bytes:
                break
            if one not in gone:
                beyond.append(one)
                left -= one.size_bytes
        return beyond


def _held(folder: Path) -> Held | None:
    size = 0
    try:
        touched_ns = folder.stat().st_mtime_ns
    except FileNotFoundError:
        # Its thread was deleted just now
        return None
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    size += getattr(found, "st_blocks", -(-found.st_size // 512)) * 512
                    touched_ns = max(touched_ns, found.st_mtime_ns)
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
        except OSError:
            # It went away, or is closed to us
            continue
    return Held(folder, size, datetime.fromtimestamp(touched_ns / 1e9, UTC))
