"""The ledger of a single process, in its memory: the plain model of what a ledger does."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from potluck.quota.ledger import Claim, Held, WindowFullError
from potluck.quota.periods import countable, flow, flow_per_s, kind, refuse_twins
from potluck.quota.tallies import Tally
from potluck.quota.windows import Amounts, Use, Window

EXPIRY_S = 900.0
# Whoever settles later than this is not waited for any more.
_REMEMBERED = timedelta(days=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Reservation:
    at: datetime
    windows: tuple[Window, ...]
    ends: list[datetime | None]
    amounts: list[float]
    is_returned: bool = False


@dataclass(slots=True)
class _Account:
    tallies: dict[str, Tally] = field(default_factory=dict)
    reservations: dict[str, _Reservation] = field(default_factory=dict)

    def open_in(self, window: Window) -> float:
        """What calls under way hold of the window."""
        return sum(
            amount
            for one in self.reservations.values()
            if not one.is_returned
            for held, amount in zip(one.windows, one.amounts, strict=True)
            if held.id == window.id
        )


class MemoryLedger:
    """A Ledger in this process's memory; safe among tasks, as nothing in it waits.

    A reservation that nobody settles is given back after `expiry_s`.
    """

    def __init__(self, clock: Callable[[], datetime], *, expiry_s: float = EXPIRY_S) -> None:
        self._clock = clock
        self._expiry = timedelta(seconds=expiry_s)
        self._accounts: dict[str, _Account] = {}
        self._account_of: dict[str, str] = {}

    async def reserve(self, claim: Claim) -> Held:
        """Take all windows or none, as `Ledger.reserve` promises."""
        return self.take(claim)

    async def settle(self, held: Held, used: Amounts | None) -> None:
        """Replace what is held by what was used, as `Ledger.settle` promises."""
        self.replace(held, used)

    async def renew(self, held: Held) -> None:
        """Count what is held from now on, as `Ledger.renew` promises."""
        self.postpone(held)

    async def retain(self, held: Held, for_s: float) -> None:
        """Count what is held a little longer, as `Ledger.retain` promises."""
        self.let_end(held, for_s)

    async def note_use(self, account: str, window: Window, at_least: float) -> None:
        """Count what the provider knows and we did not, as `Ledger.note_use` promises."""
        self.note(account, window, at_least)

    async def uses(self, windows: Sequence[Window]) -> list[Use]:
        """How much of each window is used now."""
        return self.uses_now(windows)

    async def aclose(self) -> None:
        """Forget everything."""
        self._accounts.clear()
        self._account_of.clear()

    def take(self, claim: Claim) -> Held:
        """`reserve`, without waiting."""
        refuse_twins(claim.windows)
        asked = amounts_in(claim.windows, claim.amounts)
        now = self._clock()
        account = self._account(claim.account, now)
        tallies = [self._tally(claim.account, window, now) for window in claim.windows]
        refuse_if_full(tallies, asked, now)
        ends = [tally.last_end(now) for tally in tallies]
        for tally, end, amount in zip(tallies, ends, asked, strict=True):
            tally.shift(end, amount, now)
        held = Held(str(uuid4()), claim, tuple(tally.use(now) for tally in tallies))
        account.reservations[held.id] = _Reservation(now, claim.windows, ends, asked)
        return held

    def replace(self, held: Held, used: Amounts | None) -> None:
        """`settle`, without waiting."""
        now = self._clock()
        account = self._account(held.claim.account, now)
        reservation = account.reservations.pop(held.id, None)
        if reservation is not None:
            counted = used_in(reservation.windows, reservation.amounts, used)
            self._change(account, reservation, counted, now)

    def postpone(self, held: Held) -> None:
        """`renew`, without waiting. No level stays below what calls under way hold."""
        now = self._clock()
        account = self._account(held.claim.account, now)
        reservation = account.reservations.get(held.id)
        if reservation is None or reservation.is_returned:
            return
        for index, window in enumerate(reservation.windows):
            tally, amount = account.tallies[window.id], reservation.amounts[index]
            if kind(tally.window) != kind(window):
                continue
            tally.advance(now)
            tally.shift(reservation.ends[index], -amount, now)
            reservation.ends[index] = tally.last_end(now)
            tally.shift(reservation.ends[index], amount, now)
            if kind(window) == "refill":
                tally.used = max(tally.used, account.open_in(window))

    def let_end(self, held: Held, for_s: float) -> None:
        """`retain`, without waiting."""
        now = self._clock()
        account = self._account(held.claim.account, now)
        reservation = account.reservations.pop(held.id, None)
        if reservation is None or reservation.is_returned:
            return
        self._change(account, reservation, [0.0] * len(reservation.windows), now)
        parts = zip(reservation.windows, reservation.ends, reservation.amounts, strict=True)
        for window, end, amount in parts:
            tally = account.tallies[window.id]
            if end is not None and kind(tally.window) == kind(window):
                tally.shift(min(end, now + timedelta(seconds=for_s)), amount, now)

    def note(self, account: str, window: Window, at_least: float) -> float:
        """`note_use`, without waiting; the amount that was added."""
        if kind(window) == "call" or not math.isfinite(at_least):
            return 0.0
        now = self._clock()
        self._account(account, now)
        tally = self._tally(account, window, now)
        missing = max(0.0, countable(window, at_least) - tally.used)
        if missing > 0:
            tally.shift(tally.last_end(now), missing, now)
        return missing

    def preset(self, account: str, window: Window, used: float, ends: datetime) -> None:
        """Count so much as used until `ends`, or as the level now of a window that refills."""
        now = self._clock()
        self._account(account, now)
        tally = self._tally(account, window, now)
        tally.shift(ends if kind(window) == "entries" else None, used, now)

    def uses_now(self, windows: Sequence[Window]) -> list[Use]:
        """`uses`, without waiting."""
        now = self._clock()
        uses = []
        for window in windows:
            name = self._account_of.get(window.id)
            if name is None:
                uses.append(Tally(window, now).use(now))
            else:
                self._account(name, now)
                uses.append(self._tally(name, window, now).use(now))
        return uses

    def _account(self, name: str, now: datetime) -> _Account:
        """The account, with what is overdue given back."""
        account = self._accounts.setdefault(name, _Account())
        _rewind(account, now)
        for id_, reservation in list(account.reservations.items()):
            if reservation.is_returned and reservation.at + _REMEMBERED < now:
                del account.reservations[id_]
            elif not reservation.is_returned and reservation.at + self._expiry <= now:
                self._change(account, reservation, [0.0] * len(reservation.windows), now)
                reservation.is_returned, reservation.at = True, now
        return account

    def _tally(self, account: str, window: Window, now: datetime) -> Tally:
        tallies = self._accounts[account].tallies
        tally = tallies.get(window.id)
        if tally is None or kind(tally.window) != kind(window):
            tally = tallies[window.id] = Tally(window, now)
            self._account_of[window.id] = account
        # Until now it was used by its former properties
        tally.advance(now)
        if 0 < flow_per_s(window) != flow_per_s(tally.window):
            tally.used = min(tally.used, flow(window))
        tally.window = window
        return tally

    def _change(
        self, account: _Account, reservation: _Reservation, used: list[float], now: datetime
    ) -> None:
        for index, window in enumerate(reservation.windows):
            held = 0.0 if reservation.is_returned else reservation.amounts[index]
            tally = account.tallies[window.id]
            if kind(tally.window) == kind(window):
                tally.advance(now)
                tally.shift(reservation.ends[index], used[index] - held, now)


def _rewind(account: _Account, now: datetime) -> None:
    """Move what is later than now, by a clock that went back, to now; what ended stays so."""
    late = {id_: tally.at for id_, tally in account.tallies.items() if tally.at > now}
    if not late:
        return
    for reservation in account.reservations.values():
        reservation.at = min(reservation.at, now)
        for index, window in enumerate(reservation.windows):
            ends, last = reservation.ends[index], account.tallies[window.id].last_end(now)
            if window.id in late and ends is not None and last is not None:
                has_ended = ends <= late[window.id]
                reservation.ends[index] = _LONG_AGO if has_ended else min(ends, last)
    for id_ in late:
        account.tallies[id_].advance(now)


def amounts_in(windows: Sequence[Window], amounts: Amounts) -> list[float]:
    """The amount for each window. Raises ValueError for what is negative or not a number."""
    asked = [float(amounts.of(window.unit)) for window in windows]
    if not all(_is_amount(amount) for amount in asked):
        raise ValueError(f"amounts must be numbers of 0 or more, not {amounts}")
    return asked


def used_in(windows: Sequence[Window], held: Sequence[float], used: Amounts | None) -> list[float]:
    """What counts in each window after the call; None: nothing; what makes no sense: as held."""
    if used is None:
        return [0.0] * len(windows)
    counted = []
    for window, held_amount in zip(windows, held, strict=True):
        amount = 0.0 if kind(window) == "call" else used.of(window.unit)
        counted.append(float(amount if _is_amount(amount) else held_amount))
    return counted


def _is_amount(amount: float) -> bool:
    return math.isfinite(amount) and amount >= 0


def refuse_if_full(tallies: Sequence[Tally], asked: Sequence[float], now: datetime) -> None:
    """Raise WindowFullError for the window that has room last, if any is too full."""
    full = [
        (tally, tally.room_at(amount, now))
        for tally, amount in zip(tallies, asked, strict=True)
        if not tally.has_room(amount)
    ]
    if full:
        tally, until = max(full, key=lambda pair: (pair[1] is None, pair[1] or now))
        raise WindowFullError(tally.window, until, tuple(each.use(now) for each in tallies))
