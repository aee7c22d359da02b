"""Limits that nobody knows are found one call after the other, not by many that are refused."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from potluck.quota.budgets import GUARD_S, is_limited, window_id
from potluck.quota.ledger import Claim, Held, Ledger, WindowFullError
from potluck.quota.waiting import Lines
from potluck.quota.windows import Amounts, Deployment, StatedLimit, Window

# Whoever refuses does so at once: a call that is under way for longer was taken
_TAKEN_S = 1.0
# For so many calls that a minute has granted, one more at a time goes beyond them
_STEP = 32
_PERIOD = timedelta(seconds=60 + GUARD_S)
_ONE = Amounts()


@dataclass(slots=True, eq=False)
class Trial:
    """A call to an account whose limits are unknown.

    `shows` is how many calls a minute grants if this one is taken, as it is if nothing is heard of
    it until `taken_at`. What was refused until `kept_until` counts until then.
    """

    search: "_Search"
    held: Held
    shows: int
    taken_at: datetime | None = None
    kept_until: datetime | None = None
    is_over: bool = False


@dataclass(slots=True, eq=False)
class _Search:
    """What this process knows of an account whose limits it looks for, searches told by `since`.

    `granted` is the most calls that a minute has granted, as far as known here.
    """

    account: str
    since: datetime | None
    granted: int = 0
    left: int = 1
    open: list[Trial] = field(default_factory=list)

    @property
    def beyond(self) -> int:
        """How many calls at a time go beyond what was granted."""
        return 1 + self.granted // _STEP

    def sent(self) -> Window:
        """The calls of a minute that were taken, or may yet be refused."""
        name = f"{window_id(self.account, None, 'requests', 'minute')} (limits unknown)"
        return Window(name, "requests", "minute", self.granted + self.beyond, guard_s=GUARD_S)

    def best(self) -> Window:
        """Where all processes keep the most that a minute has granted, for a day."""
        name = f"{window_id(self.account, None, 'requests', 'day')} (granted in a minute"
        since = f", {self.since:%Y-%m-%dT%H:%M:%S}" if self.since is not None else ""
        return Window(f"{name}{since})", "requests", "day", float("inf"))


class Exploration:
    """How many calls an account is sent while its limits are unknown, by all processes together.

    In a minute as many as a minute has granted before; beyond that one at a time, so that each can
    tell of a limit before the next is sent. The ledger keeps both. What an account without a key
    takes (a model of one's own) nobody counts.
    """

    def __init__(
        self,
        ledger: Ledger,
        lines: Lines,
        clock: Callable[[], datetime],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._lines = lines
        self._clock = clock
        self._sleep = sleep
        self._searches: dict[str, _Search] = {}
        self._timers: set[asyncio.Task[None]] = set()

    @staticmethod
    def is_needed(deployment: Deployment, windows: Sequence[Window]) -> bool:
        """Whether nothing is known of how many calls are taken in a minute, or at once."""
        return bool(deployment.key_id) and not any(
            is_limited(one)
            and (one.unit == "concurrent" or (one.unit, one.period) == ("requests", "minute"))
            for one in windows
        )

    def line(self, account: str) -> Window:
        """The window by whose id calls wait for their turn, whether limits are known by now."""
        name = f"{window_id(account, None, 'concurrent', 'call')} (limits unknown)"
        search = self._searches.get(account)
        return Window(name, "concurrent", "call", search.left if search is not None else 1)

    async def begin(self, account: str, since: datetime | None) -> Trial | None:
        """A call is to be sent; None when it has to wait for others.

        `since` is when limits that were known before ended: what was granted until then may have
        been by others.
        """
        search = self._searches.get(account)
        if search is None or search.since != since:
            search = self._searches[account] = _Search(account, since)
        now = self._clock()
        for trial in [one for one in search.open if one.taken_at and one.taken_at <= now]:
            await self.end(trial, answered=True)
        held = await self._hold(search)
        if held is None:
            return None
        used = round(held.uses[0].used)
        search.left = max(search.beyond, search.granted + search.beyond - used)
        trial = Trial(search, held, used - search.beyond + 1)
        search.open.append(trial)
        return trial

    def sent(self, trial: Trial) -> None:
        """It is on its way: from now on it may be refused."""
        if trial.taken_at is None and not trial.is_over:
            trial.taken_at = self._clock() + timedelta(seconds=_TAKEN_S)
            self._start(self._end_in_time(trial))

    def keep(self, account: str, stated: Sequence[StatedLimit]) -> None:
        """A refusal told of limits: other processes, too, wait until there is room by it.

        The call that is refused has used its room until then, or for a whole period.
        """
        now = self._clock()
        ends = [one.resets_at for one in stated if one.resets_at is not None]
        until = min(max(ends, default=now + _PERIOD), now + _PERIOD)
        search = self._searches.get(account)
        for trial in search.open if search is not None else ():
            trial.kept_until = until

    async def end(self, trial: Trial, *, answered: bool) -> None:
        """It is over, or taken; what was not answered was not granted. Twice is harmless."""
        if trial.is_over:
            return
        trial.is_over = True
        search = trial.search
        search.open.remove(trial)
        if answered and trial.shows > search.granted:
            search.granted = trial.shows
            await self._ledger.note_use(search.account, search.best(), trial.shows)
        if answered:
            await self._settle(trial, _ONE)
        elif trial.kept_until is None or trial.kept_until <= self._clock():
            await self._settle(trial, None)
        else:
            # Not by a timer: this process may be gone by then, and the work goes on elsewhere
            wait_s = (trial.kept_until - self._clock()).total_seconds()
            await self._ledger.retain(trial.held, wait_s)
            self._start(self._call_in(search.account, wait_s))

    async def aclose(self) -> None:
        """Wait for nobody's answer any more."""
        for timer in self._timers:
            timer.cancel()
        if self._timers:
            await asyncio.wait(self._timers)

    async def _hold(self, search: _Search) -> Held | None:
        while True:
            try:
                return await self._ledger.reserve(Claim(search.account, (search.sent(),), _ONE))
            except WindowFullError:
                (best,) = await self._ledger.uses((search.best(),))
            if round(best.used) <= search.granted:
                return None
            # Other processes were granted more meanwhile
            search.granted = round(best.used)

    async def _settle(self, trial: Trial, used: Amounts | None) -> None:
        await self._ledger.settle(trial.held, used)
        self._lines.call((self.line(trial.search.account),))

    async def _call_in(self, account: str, seconds: float) -> None:
        await self._sleep(seconds)
        self._lines.call((self.line(account),))

    def _start(self, work: Coroutine[object, object, None]) -> None:
        timer = asyncio.create_task(work)
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    async def _end_in_time(self, trial: Trial) -> None:
        """Other processes are told, too, that the call was taken."""
        await self._sleep(_TAKEN_S)
        await self.end(trial, answered=True)
