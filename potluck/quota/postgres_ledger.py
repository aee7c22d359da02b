"""The ledger in PostgreSQL, exact over processes; each promise is one round trip."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg

from potluck.pool import Pool
from potluck.quota.ledger import Claim, Held, WindowFullError
from potluck.quota.memory_ledger import EXPIRY_S, amounts_in, used_in
from potluck.quota.periods import columns, countable, kind
from potluck.quota.rations import Batch
from potluck.quota.statements import Statements
from potluck.quota.windows import Amounts, Use, Window

LEASE_S = 15.0
TIMEOUT_S = 2.0
# A process that was lately active is one that others must leave room for.
_ACTIVE_S = 600.0

_RESERVE = """SELECT is_full, room_at, used, free_at, resets_at FROM ledger_reserve(
    %s, %s, %s, %s, %s, %s, %s::float8[], %s::float8[], %s::float8[], %s::float8[],
    %s, %s, %s)"""
_SETTLE = "SELECT ledger_settle(%s, %s, %s::float8[], %s, %s)"
_ABANDON = "SELECT ledger_abandon(%s, %s, %s, %s, %s)"
_RENEW = "SELECT ledger_renew(%s, %s, %s, %s)"
_RETAIN = "SELECT ledger_retain(%s, %s, %s, %s, %s)"
_NOTE = "SELECT ledger_note(%s, %s, %s, %s, %s::float8, %s::float8, %s::float8, %s, %s)"
_USES = """SELECT used, free_at, resets_at
    FROM ledger_uses(%s, %s, %s, %s::float8[], %s, %s)"""
_RESTORE = "SELECT ledger_restore(%s, %s, %s, %s::jsonb, %s, %s, %s)"
_BEAT = "SELECT ledger_beat(%s, %s, %s)"
_LEAVE = "SELECT ledger_leave(%s, %s, %s)"


class PostgresLedger:
    """A Ledger in the database: the windows of an account change under one lock, all or none.

    Time is the database's, as replicas' clocks differ, unless there is a `clock`. What a process
    holds is given back when it was not heard of for `lease_s`, or after `expiry_s` at the latest.
    Statements don't wait for the disk: only a crash of PostgreSQL itself loses entries, those of
    the last 0.6 s or so, and waiting would cost each call more than all else here.

    Methods raise psycopg.Error or TimeoutError when the database is out.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Callable[[], datetime] | None = None,
        lease_s: float = LEASE_S,
        expiry_s: float = EXPIRY_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._statements = Statements(pool, timeout_s=timeout_s)
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._expiry = timedelta(seconds=expiry_s)
        self._holder = uuid4()
        self._held: set[str] = set()
        self._doubtful: dict[str, str] = {}
        self._heartbeat: asyncio.Task[None] | None = None
        self._active_until_s = 0.0
        self.live_holders = 1

    async def reserve(self, claim: Claim) -> Held:
        """Take all windows or none, as `Ledger.reserve` promises.

        Cancelled or out of time in the middle, it gives back what it may have taken.
        """
        if not claim.windows:
            return Held(str(uuid4()), claim, ())
        asked = amounts_in(claim.windows, claim.amounts)
        id_ = str(uuid4())
        c = columns(claim.windows)
        arguments = (UUID(id_), self._holder, claim.account)
        arrays = (c.ids, c.periods, c.resets, c.rates, c.guards, c.limits, asked)
        times = (self._lease, self._expiry, self._now())
        self._held.add(id_)
        try:
            row = await self._statements.fetch(_RESERVE, (*arguments, *arrays, *times))
        except BaseException:
            # Whatever cut it short, nobody knows whether the database has it.
            self._doubtful[id_] = claim.account
            self._statements.start(self._abandon_if_reached())
            self._keep_alive()
            raise
        is_full, room_at, *columns_of_uses = row
        uses = _uses(claim.windows, *columns_of_uses)
        if is_full is not None:
            self._held.discard(id_)
            raise _refusal(claim.windows, is_full, room_at, uses)
        self._keep_alive()
        return Held(id_, claim, uses)

    async def settle(self, held: Held, used: Amounts | None) -> None:
        """Replace what is held by what was used, as `Ledger.settle` promises."""
        windows = held.claim.windows
        if not windows:
            return
        counted = None
        if used is not None:
            counted = used_in(windows, amounts_in(windows, held.claim.amounts), used)
        arguments = (UUID(held.id), held.claim.account, counted, self._expiry, self._now())
        await self._statements.fetch(_SETTLE, arguments)
        self._held.discard(held.id)

    async def renew(self, held: Held) -> None:
        """Count what is held from now on, as `Ledger.renew` promises."""
        if held.claim.windows:
            arguments = (UUID(held.id), held.claim.account, self._expiry, self._now())
            await self._statements.fetch(_RENEW, arguments)

    async def retain(self, held: Held, for_s: float) -> None:
        """Count what is held a little longer, as `Ledger.retain` promises."""
        if held.claim.windows:
            times = (timedelta(seconds=for_s), self._expiry, self._now())
            arguments = (UUID(held.id), held.claim.account, *times)
            await self._statements.fetch(_RETAIN, arguments)
        self._held.discard(held.id)

    async def abandon_doubtful(self) -> None:
        """Give back reservations of which nobody knows whether they were made."""
        for id_, account in list(self._doubtful.items()):
            arguments = (UUID(id_), self._holder, account, self._expiry, self._now())
            await self._statements.fetch(_ABANDON, arguments)
            self._doubtful.pop(id_, None)
            self._held.discard(id_)

    async def note_use(self, account: str, window: Window, at_least: float) -> None:
        """Count what the provider knows and we did not, as `Ledger.note_use` promises."""
        if kind(window) == "call" or not 0 < at_least < float("inf"):
            return
        c = columns((window,))
        properties = (c.ids[0], c.periods[0], c.resets[0], c.rates[0], c.guards[0])
        await self._statements.fetch(
            _NOTE, (account, *properties, countable(window, at_least), self._expiry, self._now())
        )

    async def uses(self, windows: Sequence[Window]) -> list[Use]:
        """How much of each window is used now."""
        if not windows:
            return []
        asked = tuple(windows)
        c = columns(asked)
        arguments = (c.ids, c.periods, c.resets, c.rates, self._expiry, self._now())
        return list(_uses(asked, *await self._statements.fetch(_USES, arguments)))

    async def restore(self, batch: Batch) -> None:
        """Write down calls that were admitted elsewhere; the same batch twice is harmless.

        Those that are open become reservations of this ledger, to be settled here.
        """
        arguments = (UUID(batch.id), self._holder, batch.account, batch.as_json())
        await self._statements.fetch(_RESTORE, (*arguments, self._lease, self._expiry, self._now()))
        self._held.update(batch.open_ids)
        self._keep_alive()

    async def beat(self) -> None:
        """Say that this process lives, and learn in `live_holders` how many do."""
        row = await self._statements.fetch(_BEAT, (self._holder, self._lease, self._now()))
        self.live_holders = int(row[0])

    async def aclose(self) -> None:
        """Give back what this process still holds; the pool stays open, it is its owner's."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.wait({self._heartbeat})
        await self._statements.drain()
        self._held.clear()
        await self._statements.fetch(_LEAVE, (self._holder, self._expiry, self._now()))

    def _now(self) -> datetime | None:
        return self._clock() if self._clock else None

    def _keep_alive(self) -> None:
        self._active_until_s = asyncio.get_running_loop().time() + _ACTIVE_S
        if self._heartbeat is None or self._heartbeat.done():
            self._heartbeat = asyncio.create_task(self._beat_while_active())

    async def _beat_while_active(self) -> None:
        loop = asyncio.get_running_loop()
        while self._held or self._doubtful or loop.time() < self._active_until_s:
            with contextlib.suppress(psycopg.Error, TimeoutError):
                await self.beat()
                await self.abandon_doubtful()
            await asyncio.sleep(self._lease.total_seconds() / 3)

    async def _abandon_if_reached(self) -> None:
        # Out of reach, it is tried again with the next heartbeats.
        with contextlib.suppress(psycopg.Error, TimeoutError):
            await self.abandon_doubtful()


def _uses(
    windows: Sequence[Window],
    used: Sequence[float],
    free_at: Sequence[datetime | None],
    resets_at: Sequence[datetime | None],
) -> tuple[Use, ...]:
    rows = zip(windows, used, free_at, resets_at, strict=True)
    return tuple(
        Use(window, amount, _utc(free), _utc(reset)) for window, amount, free, reset in rows
    )


def _refusal(
    windows: Sequence[Window],
    is_full: Sequence[bool],
    room_at: Sequence[datetime | None],
    uses: tuple[Use, ...],
) -> WindowFullError:
    full = [
        (window, _utc(room))
        for window, refused, room in zip(windows, is_full, room_at, strict=True)
        if refused
    ]
    never = next((window for window, until in full if until is None), None)
    if never is not None:
        return WindowFullError(never, None, uses)
    window, until = max(full, key=lambda pair: pair[1] or datetime.min.replace(tzinfo=UTC))
    return WindowFullError(window, until, uses)


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at is not None else None
