"""What one process may use while the database is out, and the journal of what it used."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from potluck.quota.ledger import Claim, Held, WindowFullError
from potluck.quota.memory_ledger import MemoryLedger, amounts_in, used_in
from potluck.quota.periods import columns, flow, kind
from potluck.quota.windows import Amounts, Use, Window

BATCH_SIZE = 500
MAX_SPENT = 10_000
# The database may be back by then, and with it the whole of the limit.
_LOOK_AGAIN = timedelta(seconds=5)
# A window of which nothing is known counts as half used.
_UNKNOWN_SHARE = 0.5
_FOLD_S = 600
_FORGOTTEN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Spent:
    """A call that was admitted here; `is_open` until it is settled."""

    id: str
    account: str
    at: datetime
    windows: tuple[Window, ...]
    amounts: tuple[float, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls of one account, to be written into the ledger together and once."""

    id: str
    account: str
    spent: tuple[Spent, ...]

    @property
    def open_ids(self) -> list[str]:
        """The calls that are still to be settled."""
        return [spent.id for spent in self.spent if spent.is_open]

    def as_json(self) -> str:
        """The calls as `ledger_restore` of the schema takes them."""
        return json.dumps([_as_object(spent) for spent in self.spent])


class Rations:
    """Admits calls by the last known uses, of which each of `replicas` takes its part.

    `known` is the last use seen of each window by its id; `under_way` tells how many calls that
    the database knows of this process has under way in a window.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        known: Mapping[str, Use],
        *,
        replicas: int = 1,
        under_way: Mapping[str, int],
        max_spent: int = MAX_SPENT,
    ) -> None:
        self._clock = clock
        self._known = known
        self._replicas = max(1, replicas)
        self._under_way = under_way
        self._max_spent = max_spent
        self._memory = MemoryLedger(clock)
        self._preset: set[str] = set()
        self._journal: dict[str, Spent] = {}
        self._frozen: Batch | None = None

    @property
    def is_written(self) -> bool:
        """Whether the ledger has been told of everything."""
        return not self._journal

    def take(self, claim: Claim) -> Held:
        """Admit the call, or raise WindowFullError."""
        if not claim.windows:
            return Held(str(uuid4()), claim, ())
        windows = tuple(self._rationed(window) for window in claim.windows)
        for window in windows:
            self._begin(claim.account, window)
        try:
            held = self._memory.take(replace(claim, windows=windows))
        except WindowFullError as error:
            raise self._refusal(claim, windows, error) from error
        amounts = tuple(amounts_in(claim.windows, claim.amounts))
        self._note(Spent(held.id, claim.account, self._clock(), claim.windows, amounts, True))  # noqa: FBT003 - a field
        return Held(held.id, claim, _whole(claim.windows, held.uses))

    def settle(self, held: Held, used: Amounts | None) -> bool:
        """Settle a call that was admitted here; False when the ledger must be told, too."""
        self._memory.replace(held, used)
        spent = self._journal.get(held.id)
        if spent is None or self._is_frozen(spent):
            return False
        counted = used_in(spent.windows, spent.amounts, used)
        if any(counted):
            self._journal[held.id] = replace(spent, amounts=tuple(counted), is_open=False)
        else:
            del self._journal[held.id]
        return True

    def retain(self, held: Held, for_s: float) -> bool:
        """Let it end by itself; written down as used, if the ledger hears of it from here.

        False when the ledger must be told, too.
        """
        self._memory.let_end(held, for_s)
        spent = self._journal.get(held.id)
        if spent is None or self._is_frozen(spent):
            return False
        self._journal[held.id] = replace(spent, is_open=False)
        return True

    def renew(self, held: Held) -> None:
        """A call that was admitted here counts from now on."""
        self._memory.postpone(held)
        spent = self._journal.get(held.id)
        if spent is not None and not self._is_frozen(spent):
            self._journal[held.id] = replace(spent, at=self._clock())

    def note(self, account: str, window: Window, at_least: float) -> None:
        """Count what the provider says was used."""
        rationed = self._rationed(window)
        self._begin(account, rationed)
        scale = self._replicas if kind(window) == "refill" else 1
        missing = self._memory.note(account, rationed, at_least / scale) * scale
        if missing > 0:
            self._note(Spent(str(uuid4()), account, self._clock(), (window,), (missing,)))

    def uses(self, windows: Sequence[Window]) -> list[Use]:
        """How the windows stand; what other replicas may use counts as used."""
        return [self._use(window) for window in windows]

    def batches(self) -> Iterator[Batch]:
        """What the ledger has not been told yet; call `written` for each before the next."""
        while self._journal:
            if self._frozen is None:
                account = next(iter(self._journal.values())).account
                spent = [s for s in self._journal.values() if s.account == account][:BATCH_SIZE]
                self._frozen = Batch(str(uuid4()), account, tuple(spent))
            yield self._frozen

    def written(self, batch: Batch) -> None:
        """The ledger has it."""
        for spent in batch.spent:
            self._journal.pop(spent.id, None)
        self._frozen = None

    def _use(self, window: Window) -> Use:
        if kind(window) != "call" and window.id not in self._preset:
            known = self._known.get(window.id)
            return (
                replace(known, window=window)
                if _counted(known, self._clock()) and known
                else Use(window, 0.0)
            )
        (use,) = _whole([window], self._memory.uses_now([self._rationed(window)]))
        return use

    def _is_frozen(self, spent: Spent) -> bool:
        return self._frozen is not None and spent in self._frozen.spent

    def _rationed(self, window: Window) -> Window:
        """The window with the part of its limit that this process may use."""
        limit, parts = window.limit, self._replicas
        if not math.isfinite(limit):
            return window
        match kind(window):
            case "call":
                part = max(1, math.floor(limit / parts)) - self._under_way.get(window.id, 0)
                return replace(window, limit=min(limit, part))
            case "refill":
                return replace(window, limit=limit / parts, flows=flow(window) / parts)
            case "entries":
                known = self._known.get(window.id)
                counted = _counted(known, self._clock())
                if known is None:
                    limit *= _UNKNOWN_SHARE
                return replace(window, limit=counted + max(0.0, limit - counted) / parts)

    def _begin(self, account: str, rationed: Window) -> None:
        """Count what was used before the database was out, once."""
        is_unlimited = not math.isfinite(rationed.limit)
        if kind(rationed) == "call" or is_unlimited or rationed.id in self._preset:
            return
        self._preset.add(rationed.id)
        known, now = self._known.get(rationed.id), self._clock()
        if kind(rationed) == "refill":
            unknown = rationed.limit * _UNKNOWN_SHARE
            level = unknown if known is None else known.used / self._replicas
            self._memory.preset(account, rationed, level, now)
        elif known is not None and known.resets_at is not None and known.resets_at > now:
            self._memory.preset(account, rationed, known.used, known.resets_at)

    def _refusal(
        self, claim: Claim, rationed: tuple[Window, ...], error: WindowFullError
    ) -> WindowFullError:
        index = rationed.index(error.window)
        window, until = claim.windows[index], error.until
        if until is None and claim.amounts.of(window.unit) <= window.limit:
            until = self._clock() + _LOOK_AGAIN
        return WindowFullError(window, until, _whole(claim.windows, error.uses))

    def _note(self, spent: Spent) -> None:
        self._journal[spent.id] = spent
        if len(self._journal) > self._max_spent and self._frozen is None:
            self._journal = _folded(self._journal.values(), self._clock())


def _counted(known: Use | None, now: datetime) -> float:
    if known is None or known.resets_at is None or known.resets_at <= now:
        return 0.0
    return known.used


def _whole(windows: Sequence[Window], rationed: Sequence[Use]) -> tuple[Use, ...]:
    """The uses in terms of the windows' own limits."""
    return tuple(
        replace(use, window=window, used=_used_of_whole(window, use))
        for window, use in zip(windows, rationed, strict=True)
    )


def _used_of_whole(window: Window, rationed: Use) -> float:
    if not math.isfinite(window.limit):
        return rationed.used
    return max(0.0, window.limit - (rationed.window.limit - rationed.used))


def _folded(journal: Iterable[Spent], now: datetime) -> dict[str, Spent]:
    """The journal with settled calls of about the same time made one, as if at the latest."""
    folded: dict[object, Spent] = {}
    for spent in journal:
        if spent.is_open:
            if now - spent.at < _FORGOTTEN:
                folded[spent.id] = spent
            continue
        group = (spent.account, spent.windows, spent.at.timestamp() // _FOLD_S)
        other = folded.get(group)
        if other is not None:
            amounts = tuple(a + b for a, b in zip(other.amounts, spent.amounts, strict=True))
            spent = replace(other, at=max(other.at, spent.at), amounts=amounts)  # noqa: PLW2901 - the sum stands for both
        folded[group] = spent
    return {spent.id: spent for spent in folded.values()}


def _as_object(spent: Spent) -> dict[str, object]:
    names = columns(spent.windows)
    return {
        "id": spent.id,
        "at": spent.at.isoformat(),
        "open": spent.is_open,
        "windows": names.ids,
        "periods": names.periods,
        "resets": names.resets,
        "rates": names.rates,
        "guards": names.guards,
        "amounts": list(spent.amounts),
    }
