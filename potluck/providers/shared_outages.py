"""Limits that are used up, told to all replicas, and kept over restarts."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from potluck.errors import QUOTA_KINDS, ErrorKind
from potluck.pool import Pool
from potluck.providers.outage_rows import OutageRow, Spot, read_outages, write_outages
from potluck.providers.outages import Outage
from potluck.quota.shared_rows import SharedRows

# What is over before others have heard of it is not told
_WORTH_TELLING = timedelta(seconds=2)
# Of other limits a guess may be wrong by hours, and a restart is how people ask for another try
_GUESSED = frozenset({ErrorKind.MINUTE, ErrorKind.DAY})


class SharedOutages(SharedRows[Spot, OutageRow]):
    """The used-up limits that any replica has met. `tell` and `end` never wait."""

    subject = "which limits are used up"
    refresh_s = 2.0

    def __init__(self, rows: Iterable[OutageRow] = (), *, clock: Callable[[], datetime]) -> None:
        super().__init__(clock=clock)
        self._known = {row.spot: row for row in rows}
        self.on_change: Callable[[], None] = lambda: None
        """Called when others have told of something."""

    def rows(self) -> list[OutageRow]:
        """All that are known."""
        return list(self._known.values())

    def tell(self, outage: Outage, spot: Spot, *, is_guess: bool) -> None:
        """A limit was found used up; others hear of it if that is of use to them."""
        kind, now = outage.error.kind, self._clock()
        if (
            kind not in (_GUESSED if is_guess else QUOTA_KINDS)
            or outage.until - now < _WORTH_TELLING
        ):
            return
        fault = outage.error.fault
        self._known[spot] = OutageRow(
            *spot, kind.value, fault.scope.value, fault.message, fault.status, outage.until, now
        )
        self._mark(spot)

    def end(self, spot: Spot) -> None:
        """A call has shown that it is over."""
        if spot in self._known:
            self._drop(spot)

    def replace(self, rows: Iterable[OutageRow]) -> None:
        """These are known from now on, as others have told."""
        found = {row.spot: row for row in rows}
        if found != self._known:
            self._known = found
            self.on_change()

    async def _read(self, pool: Pool) -> dict[Spot, OutageRow]:
        return {row.spot: row for row in await read_outages(pool, self._clock())}

    async def _write(
        self, pool: Pool, rows: Mapping[Spot, OutageRow], gone: Iterable[Spot]
    ) -> None:
        await write_outages(pool, rows.values(), gone, over=self._clock())

    def _take_over(self, found: dict[Spot, OutageRow]) -> None:
        unwritten = {spot: self._known[spot] for spot in self._changed}
        others = [row for spot, row in found.items() if spot not in self._gone]
        self.replace([*others, *unwritten.values()])
