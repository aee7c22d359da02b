"""A server shows that it is there by locks that the database holds for as long as it lives.

A database has one server without Redis, or any number that share one: two of which one knows
nothing of the other would each take up the other's runs.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
import structlog
from psycopg import Connection

from potluck.errors import DatabaseError, StartError
from potluck.server.lease_terms import PRESENCE_LOCK

# Any number that nobody else locks: one server's own, or shared by those with Redis
DATABASE_LOCK = 7_105_116_111
# Another one may be about to stop, or have gone without a word, which the database notices in 14 s
LONGEST_WAIT_S = 60.0
CONNECT_TIMEOUT_S = 3
ASK_EVERY_S = 2.0
RETRY_S = 0.5
END_TIMEOUT_S = 2.0
_SAID_BEFORE_NAMES = "potluck:"
# Either side notices within this that the other's machine has gone without a word
_KEEPALIVE = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"
_SILENT_MS = 14_000

_TAKE_ALONE = "SELECT pg_try_advisory_lock(%(database)s)"
_TAKE_SHARED = """
SELECT pg_try_advisory_lock_shared(%(database)s)
    AND pg_try_advisory_lock(%(servers)s, hashtext(%(name)s))
"""
_HOLDERS = """
SELECT coalesce(nullif(holder.application_name, ''), 'a server without a name')
FROM pg_locks AS held LEFT JOIN pg_stat_activity AS holder USING (pid)
WHERE held.locktype = 'advisory' AND held.objsubid = 1 AND held.granted
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (held.classid::bigint << 32 | held.objid::bigint) = %(database)s
    AND held.pid <> pg_backend_pid()
    AND (held.mode = 'ExclusiveLock' OR NOT %(shares)s)
ORDER BY 1
"""

logger = structlog.get_logger(__name__)


@contextmanager
def shown(
    url: str, name: str, *, shares: bool, longest_wait_s: float = LONGEST_WAIT_S
) -> Iterator[None]:
    """Inside the block the server of that name is there, for all who look at the database.

    With `shares` beside others that do. Waits for one that does not go with it to stop; raises
    StartError when it stays, DatabaseError when the database does not answer. One that comes while
    this server has lost the database ends it, by SIGTERM: its runs are the other's by then.
    """
    presence = _Presence(url, name, shares)
    presence.begin(longest_wait_s)
    watch = threading.Thread(target=presence.stay, name="presence", daemon=True)
    watch.start()
    try:
        yield
    finally:
        presence.is_over.set()
        # A database that hangs lets go when the process ends
        watch.join(END_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class _Others:
    """Those who keep a server from its place."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"another server ({', '.join(self.names) or 'unknown'})"


class _Presence:
    def __init__(self, url: str, name: str, shares: bool) -> None:  # noqa: FBT001 - one caller
        self._shares = shares
        self._name = name
        self._shown_name = f"{_SAID_BEFORE_NAMES}{name}"[:63]
        self._connect = partial(
            psycopg.connect,
            url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=self._shown_name,
            options=_KEEPALIVE,
            keepalives_idle=5,
            keepalives_interval=3,
            keepalives_count=3,
            tcp_user_timeout=_SILENT_MS,
        )
        self._connection: Connection | None = None
        self.is_over = threading.Event()

    def begin(self, longest_wait_s: float) -> None:
        """Take the place, once it is free. Raises StartError or DatabaseError."""
        try:
            self._connection = self._connect()
            self._wait(self._connection, time.monotonic() + longest_wait_s)
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise DatabaseError(
                f"The database went away while the server started: {reason}.",
                fix="Start it again when the database answers; `potluck check` shows whether.",
            ) from error

    def _wait(self, connection: Connection, until_s: float) -> None:
        is_told = False
        while not self._take(connection):
            others = self._others(connection)
            if time.monotonic() >= until_s:
                connection.close()
                raise self._refusal(others)
            if others.names and not is_told:
                is_told = True
                told = self._refusal(others).message
                left_s = until_s - time.monotonic()
                logger.warning(f"{told} Waiting up to {left_s:.0f} s for it to stop.")
            time.sleep(RETRY_S)

    def _refusal(self, others: _Others) -> StartError:
        whose = "which has no REDIS_URL" if self._shares else "and this one has no REDIS_URL"
        return StartError(
            f"The database is used by {others}, {whose}: each would take up the other's runs.",
            fix="Stop the other one, or give every server of this database the same REDIS_URL "
            "(docs/replicas.md), or set another DATABASE_URL.",
        )

    def stay(self) -> None:
        """Keep the place until it is over, also when the connection breaks."""
        while not self.is_over.is_set():
            try:
                with self._connection or self._connect() as connection:
                    self._connection = None
                    self._keep(connection)
            except psycopg.Error as error:
                logger.info("This server is not shown as there.", reason=repr(error))
                self.is_over.wait(RETRY_S)

    def _keep(self, connection: Connection) -> None:
        while not self._take(connection):
            # The database may not have noticed yet that the connection before this one broke
            if others := self._others(connection).names:
                logger.error(
                    "Another server took the database over while it was out of reach: "
                    "this one stops.",
                    others=others,
                )
                self.is_over.set()
                signal.raise_signal(signal.SIGTERM)
                return
            self.is_over.wait(RETRY_S)
        while not self.is_over.wait(ASK_EVERY_S):
            connection.execute("SELECT 1")

    def _take(self, connection: Connection) -> bool:
        values = {"database": DATABASE_LOCK, "servers": PRESENCE_LOCK, "name": self._name}
        take = _TAKE_SHARED if self._shares else _TAKE_ALONE
        row = connection.execute(take, values).fetchone()
        return row is not None and bool(row[0])

    def _others(self, connection: Connection) -> _Others:
        # Those that share the database, too, keep nobody from it who does
        values = {"database": DATABASE_LOCK, "shares": self._shares}
        names = [str(name) for (name,) in connection.execute(_HOLDERS, values)]
        others = (name for name in names if name != self._shown_name)
        return _Others(tuple(name.removeprefix(_SAID_BEFORE_NAMES) for name in others))
