"""What has been kept for too long, or is too much, goes: one pass over all that runs leave behind.

Nothing of a thread that is at work, parked, or bound to a schedule is touched.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import AsyncConnection

from potluck.errors import DatabaseError
from potluck.providers.catalog import Catalog
from potluck.sandbox.deletion import delete_tree
from potluck.server.retention_logs import HISTORY_BYTES, shorten
from potluck.server.retention_parked import overdue
from potluck.server.retention_tables import TABLES, has_threads, trim
from potluck.server.retention_threads import LEAST_AGE, Threads
from potluck.server.retention_workspaces import Workspaces

CONNECT_TIMEOUT_S = 5
# Summing up what all threads take reads their tables from the first row to the last
STATEMENT_TIMEOUT_S = 600
# Any number that nobody else locks: of all replicas, one looks at a time
_LOCK = 7_105_116_110
_OPTIONS = f"-c search_path=potluck,public -c statement_timeout={STATEMENT_TIMEOUT_S}s"

GiveUp = Callable[[str], Awaitable[bool]]
"""Gives up what is parked on a thread; whether that was done."""
Forget = Callable[[Path], Awaitable[None]]
"""Ends what runs in a workspace that is about to go."""

logger = logging.getLogger(__name__)


class PruneBusyError(DatabaseError):
    """Somebody else is at it."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What went of one kind, or would go: how many for their age, for the size of all, bytes."""

    kind: str
    old: int
    beyond: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass: under which limits, and where. With `dry` nothing is changed, only counted.

    Without `give_up` parked runs are left to a server.
    """

    catalog: Catalog
    home: Path
    clock: Callable[[], datetime]
    dry: bool = False
    give_up: GiveUp | None = None
    forget: Forget | None = None

    async def run(self, url: str) -> list[Swept]:
        """Go over the database at `url` and the workspaces.

        Raises DatabaseError, PruneBusyError when another pass is under way.
        """
        try:
            async with await AsyncConnection.connect(
                url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                options=_OPTIONS,
            ) as connection:
                # The lock is the session's: it goes with the connection
                found = await connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
                if not (await found.fetchone() or (False,))[0]:
                    raise PruneBusyError(
                        "What is kept is being looked through already.",
                        fix="Try again in a minute.",
                    )
                return await self._sweep(connection)
        except (psycopg.Error, OSError) as error:
            reason = " ".join(str(error).split())
            raise DatabaseError(
                f"What is kept could not be looked through: {reason}.",
                fix="`potluck check` shows whether the database answers.",
            ) from error

    async def _sweep(self, connection: AsyncConnection) -> list[Swept]:
        policy, now = self.catalog.retention, self.clock()
        swept: list[Swept] = []
        if await has_threads(connection):
            swept.append(await self._parked(connection, now))
            threads = Threads(connection, policy, now, dry=self.dry)
            gone = await threads.delete()
            swept.append(Swept("threads", gone.old, gone.beyond, gone.size_bytes))
            for thread_id in [] if self.dry else gone.thread_ids:
                await self._delete_workspace(thread_id)
            old, beyond = await threads.thin()
            swept.append(Swept("checkpoints", old, beyond, 0))
        for table in TABLES:
            if table.needs_threads and not await has_threads(connection):
                continue
            old, beyond, size = await trim(connection, table, self.catalog, now, dry=self.dry)
            swept.append(Swept(table.kind, old, beyond, size))
        swept.append(await self._workspaces(connection, now))
        swept.append(await self._logs())
        return swept

    async def _parked(self, connection: AsyncConnection, now: datetime) -> Swept:
        old, beyond = await overdue(connection, self.catalog.retention, now)
        if not self.dry:
            old = await self._given_up(old)
            beyond = await self._given_up(beyond)
        return Swept("parked", len(old), len(beyond), 0)

    async def _given_up(self, thread_ids: Sequence[str]) -> list[str]:
        if self.give_up is None:
            return []
        return [one for one in thread_ids if await self.give_up(one)]

    async def _workspaces(self, connection: AsyncConnection, now: datetime) -> Swept:
        files = Workspaces(self.home, now)
        policy = self.catalog.retention
        await asyncio.to_thread(files.look)
        untouched, recent = now - timedelta(days=policy.workspace_days), now - LEAST_AGE
        old = await files.unused(connection, files.untouched_since(untouched), untouched)
        spare = await files.unused(connection, files.untouched_since(recent), recent)
        beyond = files.beyond(policy.workspaces_megabytes * 1e6, spare, gone=old)
        if not self.dry:
            for one in (*old, *beyond):
                # Whoever has come back to the thread meanwhile finds its files
                if await files.unused(connection, [one], recent):
                    await self._delete(one.folder)
        size = sum(one.size_bytes for one in (*old, *beyond))
        return Swept("workspaces", len(old), len(beyond), size)

    async def _logs(self) -> Swept:
        most = int(self.catalog.retention.log_megabytes * 1e6)
        files = {
            self.home / "postgres" / "log": most,
            self.home / "chat_history": min(most, HISTORY_BYTES),
        }
        sizes = []
        for file, most_bytes in files.items():
            try:
                sizes.append(await asyncio.to_thread(shorten, file, most_bytes, dry=self.dry))
            except OSError as error:
                logger.warning("%s could not be shortened: %s", file, error)
        return Swept("logs", 0, sum(size > 0 for size in sizes), sum(sizes))

    async def _delete_workspace(self, thread_id: str) -> None:
        await self._delete(Workspaces.of(self.home, thread_id))

    async def _delete(self, folder: Path) -> None:
        if self.forget is not None:
            await self.forget(folder)
        try:
            await asyncio.to_thread(delete_tree, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("The workspace %s could not be deleted: %s", folder.name, error)


def as_values(swept: Sequence[Swept]) -> list[dict[str, object]]:
    """The pass as JSON values."""
    return [asdict(one) for one in swept]
