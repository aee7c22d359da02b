"""Outages in PostgreSQL, where all replicas see them."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

from psycopg.rows import class_row

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.pool import Pool

Spot = tuple[str, str, str]
"""Provider, model and key of an outage; empty where it stands for all of them."""

_COLUMNS = "provider, model, key_id, kind, scope, message, status, until, noted_at"
_READ = f"SELECT {_COLUMNS} FROM outages WHERE until > %s"  # noqa: S608 # our own constant
# A replica's later word is not overwritten by an earlier one that was written late
_WRITE = f"""
    INSERT INTO outages ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (provider, model, key_id) DO UPDATE SET
        kind = excluded.kind, scope = excluded.scope, message = excluded.message,
        status = excluded.status, until = excluded.until, noted_at = excluded.noted_at
    WHERE outages.noted_at <= excluded.noted_at
"""  # noqa: S608 # our own constant
_REMOVE = "DELETE FROM outages WHERE provider = %s AND model = %s AND key_id = %s"
_CLEAR = "DELETE FROM outages WHERE until < %s"


@dataclass(frozen=True, slots=True)
class OutageRow:
    """An outage as it is kept; `model` and `key_id` are empty where it stands for all of them."""

    provider: str
    model: str
    key_id: str
    kind: str
    scope: str
    message: str
    status: int | None
    until: datetime
    noted_at: datetime

    @property
    def spot(self) -> Spot:
        """What it stands for."""
        return (self.provider, self.model, self.key_id)

    def error(self) -> ProviderError:
        """The failure of a call that need not be made."""
        fault = ProviderFault(
            ErrorKind(self.kind),
            ErrorScope(self.scope),
            self.message,
            self.until.astimezone(UTC),
            self.status,
        )
        return ProviderError(self.provider, self.model, fault)


async def read_outages(pool: Pool, now: datetime) -> list[OutageRow]:
    """Those that stand beyond `now`."""
    async with (
        pool.connection() as connection,
        connection.cursor(row_factory=class_row(OutageRow)) as cursor,
    ):
        await cursor.execute(_READ, [now])
        return await cursor.fetchall()


async def write_outages(
    pool: Pool, rows: Iterable[OutageRow], gone: Iterable[Spot], *, over: datetime
) -> None:
    """Keep and drop outages; drop, too, what ended before `over`."""
    async with pool.connection() as connection, connection.transaction():
        async with connection.cursor() as cursor:
            await cursor.executemany(_REMOVE, list(gone))
            await cursor.executemany(_WRITE, [astuple(row) for row in rows])
        await connection.execute(_CLEAR, [over])
