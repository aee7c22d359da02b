"""Limits that are used up, told to all replicas, and kept over restarts."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Self

from potluck.errors import QUOTA_KINDS, ErrorKind
from potluck.pool import Pool
from potluck.providers.outage_rows import OutageRow, Spot, read_outages, write_outages
from potluck.providers.outages import Outage
from potluck.quota.write_behind import WriteBehind

# How late others hear of it at most
REFRESH_S = 2.0
# What is over before others have heard of it is not told
_WORTH_TELLING = timedelta(seconds=2)
# Of other limits a guess may be wrong by hours, and a restart is how people ask for another try
_GUESSED = frozenset({ErrorKind.MINUTE, ErrorKind.DAY})


class SharedOutages:
    """The used-up limits that any replica has met. `tell` and `end` never wait.

    Without a pool they are forgotten with the process. Made by `open`, closed by `aclose`.
    """

    def __init__(self, rows: Iterable[OutageRow] = (), *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._rows = {row.spot: row for row in rows}
        self._changed: set[Spot] = set()
        self._gone: set[Spot] = set()
        self._pool: Pool | None = None
        self._behind: WriteBehind | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when others have told of something."""

    @classmethod
    async def open(
        cls, pool: Pool | None, *, clock: Callable[[], datetime], refresh_s: float = REFRESH_S
    ) -> Self:
        """What stands by now; what others tell is read every `refresh_s`.

        Raises psycopg.Error when the table cannot be read.
        """
        if pool is None:
            return cls(clock=clock)
        shared = cls(await read_outages(pool, clock()), clock=clock)
        shared._pool = pool
        shared._behind = WriteBehind(
            "which limits are used up", shared._flush, shared._refresh, refresh_s=refresh_s
        )
        return shared

    async def aclose(self) -> None:
        """Write what was not written yet; the pool stays open."""
        if self._behind is not None:
            await self._behind.aclose()

    def rows(self) -> list[OutageRow]:
        """All that are known."""
        return list(self._rows.values())

    def tell(self, outage: Outage, spot: Spot, *, is_guess: bool) -> None:
        """A limit was found used up; others hear of it if that is of use to them."""
        kind, now = outage.error.kind, self._clock()
        if (
            kind not in (_GUESSED if is_guess else QUOTA_KINDS)
            or outage.until - now < _WORTH_TELLING
        ):
            return
        fault = outage.error.fault
        self._rows[spot] = OutageRow(
            *spot, kind.value, fault.scope.value, fault.message, fault.status, outage.until, now
        )
        self._gone.discard(spot)
        self._changed.add(spot)
        self._wake()

    def end(self, spot: Spot) -> None:
        """A call has shown that it is over."""
        if self._rows.pop(spot, None) is not None:
            self._changed.discard(spot)
            self._gone.add(spot)
            self._wake()

    def replace(self, rows: Iterable[OutageRow]) -> None:
        """These are known from now on, as others have told."""
        found = {row.spot: row for row in rows}
        if found != self._rows:
            self._rows = found
            self.on_change()

    def _wake(self) -> None:
        if self._behind is not None:
            self._behind.wake()

    async def _flush(self) -> None:
        if self._pool is None:
            return
        changed, gone = set(self._changed), set(self._gone)
        rows = [self._rows[spot] for spot in sorted(changed) if spot in self._rows]
        await write_outages(self._pool, rows, gone, over=self._clock())
        self._gone -= gone
        self._changed -= {row.spot for row in rows if self._rows.get(row.spot) is row}

    async def _refresh(self) -> None:
        if self._pool is None:
            return
        if self._changed or self._gone:
            await self._flush()
        found = {row.spot: row for row in await read_outages(self._pool, self._clock())}
        for spot in self._changed:
            found[spot] = self._rows[spot]
        for spot in self._gone:
            found.pop(spot, None)
        self.replace(found.values())
