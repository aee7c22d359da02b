"""Admits a call to a model only when each of the model's windows has room for it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from potluck.quota.admission import (
    WORTH_WAITING,
    Estimates,
    Learned,
    Limiter,
    NobodyHasRoomError,
    NoLimiter,
    NothingLearned,
    RawEstimates,
    RefusedError,
    Reservation,
    Want,
)
from potluck.quota.budgets import Budget, Budgets, is_limited
from potluck.quota.exploration import Exploration, Trial
from potluck.quota.hold import Hold
from potluck.quota.ledger import Claim, Ledger, WindowFullError
from potluck.quota.line_up import LineUp, Request
from potluck.quota.prospects import Prospects
from potluck.quota.settlements import Settlements
from potluck.quota.waiting import Lines, Stand
from potluck.quota.windows import Amounts, Deployment, Priority, StatedLimit, Use, Window

__all__ = [
    "WORTH_WAITING",
    "Limiter",
    "NoLimiter",
    "NobodyHasRoomError",
    "QuotaLimiter",
    "RefusedError",
    "Reservation",
    "Want",
]

_LOOK_AGAIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was said of a deployment's use, right until then if nothing new is heard."""

    account: str
    news: tuple[int, int, int]
    until: datetime
    uses: tuple[Use, ...]


class QuotaLimiter:
    """A Limiter over a ledger: catalog, learned limits, policy, and lines to wait in.

    The lines' `sleep` waits for so many seconds of `clock`. Close it with `aclose`, which leaves
    the ledger open.
    """

    def __init__(  # noqa: PLR0913 # keyword-only after the second, each with a default but one
        self,
        budgets: Budgets,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        learned: Learned | None = None,
        estimates: Estimates | None = None,
        lines: Lines | None = None,
    ) -> None:
        self.budgets = budgets
        self._ledger = ledger
        self._clock = clock
        self._learned = learned or NothingLearned()
        self._estimates = estimates or RawEstimates()
        self._lines = lines or Lines()
        self._prospects = Prospects(clock)
        self._line_up = LineUp(self._lines, self._prospects, clock)
        self._exploration = Exploration(ledger, self._lines, clock)
        self._seen: dict[Deployment, _Seen] = {}
        self._settlements = Settlements()

    async def reserve(
        self,
        deployment: Deployment,
        estimate: Amounts,
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> Reservation:
        """Hold room for one call, as `Limiter.reserve` promises."""
        wants = [Want(deployment, estimate)]
        try:
            _, held = await self.reserve_first(wants, priority=priority, patience_s=patience_s)
        except NobodyHasRoomError as error:
            raise error.refusals[0] from None
        return held

    async def reserve_first(
        self,
        wants: Sequence[Want],
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> tuple[int, Reservation]:
        """Hold room for one of the wants, as `Limiter.reserve_first` promises."""
        deadline = self._clock() + timedelta(seconds=patience_s)
        requests = [self._request(want, priority) for want in wants]
        stand = self._lines.stand(priority)
        try:
            while True:
                stand.called.clear()
                for place, request in enumerate(requests):
                    hold = await self._try(request, stand)
                    if hold is not None:
                        return place, hold
                nap = self._line_up.line_up(requests, stand, deadline)
                if nap is None:
                    raise NobodyHasRoomError(self._line_up.refusals(requests, stand))
                await self._lines.wait(stand, nap.total_seconds())
        finally:
            self._lines.leave(stand)

    def book(self, refusal: RefusedError) -> None:
        """Keep a place at the time of the refusal, as `Limiter.book` promises."""
        if refusal.window is not None and refusal.fault.until is not None:
            self._prospects.book(refusal.window, refusal.amount, refusal.fault.until)

    def learn(
        self, deployment: Deployment, stated: Sequence[StatedLimit], *, refused: bool = False
    ) -> None:
        """Limits hold from the next call on; use we did not know of is counted soon after."""
        if not stated:
            return
        kept = self.budgets.find(deployment).deployment
        for window, at_least in self._learned.note(kept, stated, uses=self.known_uses(kept)):
            if self._prospects.raise_to(kept.account, window, at_least):
                note = self._ledger.note_use(kept.account, window, at_least)
                self._settlements.start_aside(note)
        if refused:
            self._exploration.keep(kept.account, stated)
        # Whoever waits because limits are unknown need not wait for the answer to end
        self._lines.call((self._exploration.line(kept.account),))

    def known_uses(self, deployment: Deployment) -> Sequence[Use]:
        """The deployment's windows and their use when last heard of; asks nobody."""
        now, seen = self._clock(), self._seen.get(deployment)
        if seen is not None and now < seen.until and seen.news == self._news(seen.account):
            return seen.uses
        budget = self.budgets.find(deployment)
        account = budget.deployment.account
        windows = self._windows(budget, "interactive")
        news = self._news(account)
        uses = tuple(self._prospects.use(window, now) for window in windows)
        if seen is not None and seen.uses == uses:
            uses = seen.uses
        ends = (use.resets_at for use in uses if use.resets_at is not None)
        # What was learned ends, too
        until = min(ends, default=now + _LOOK_AGAIN)
        self._seen[deployment] = _Seen(account, news, min(until, now + _LOOK_AGAIN), uses)
        return uses

    def _news(self, account: str) -> tuple[int, int, int]:
        """Other numbers whenever something was heard that may change the account's uses."""
        return self._prospects.news(account), self._learned.version, self.budgets.version

    async def uses(self, deployment: Deployment) -> list[Use]:
        """The deployment's windows and their use now."""
        budget = self.budgets.find(deployment)
        await self._settlements.all_done(budget.deployment.account)
        found = await self._ledger.uses(self._windows(budget, "interactive"))
        self._prospects.remember(budget.deployment.account, found)
        return found

    async def aclose(self) -> None:
        """Let what is being written end."""
        await self._exploration.aclose()
        await self._settlements.aclose()

    def _request(self, want: Want, priority: Priority) -> Request:
        budget = self.budgets.find(want.deployment)
        amounts = self._estimates.correct(budget.deployment.ref, want.estimate)
        return Request(want.deployment, budget, want.estimate, amounts, priority, want.not_before)

    async def _try(self, request: Request, stand: Stand) -> Hold | None:
        """The room; or None, when the request knows which window is full until when."""
        now = self._clock()
        if request.is_out or (request.not_before is not None and now < request.not_before):
            return None
        windows = self._windows(request.budget, request.priority)
        if self._exploration.is_needed(request.deployment, windows):
            return await self._explore(request, windows, stand)
        if self._line_up.is_known_full(request, windows, stand, now):
            return None
        return await self._take(request, windows, None)

    async def _explore(
        self, request: Request, windows: tuple[Window, ...], stand: Stand
    ) -> Hold | None:
        """The room, of an account that may refuse a call at any moment."""
        account = request.budget.deployment.account
        line = self._exploration.line(account)
        if self._line_up.is_known_full(request, (*windows, line), stand, self._clock()):
            return None
        await self._settlements.all_done(account)
        await self._learned.catch_up(account)
        windows = self._windows(request.budget, request.priority)
        if not self._exploration.is_needed(request.deployment, windows):
            return await self._take(request, windows, None)
        trial = await self._exploration.begin(account, self._learned.last_end(account))
        if trial is None:
            self._line_up.note_full(request, WindowFullError(line, None, ()))
            return None
        hold = None
        try:
            hold = await self._take(request, windows, trial)
        finally:
            if hold is None:
                self._settlements.start(account, self._exploration.end(trial, answered=False))
        return hold

    async def _take(
        self, request: Request, windows: tuple[Window, ...], trial: Trial | None
    ) -> Hold | None:
        claim = Claim(request.budget.deployment.account, windows, request.amounts)
        if self._learned.lags(claim.account) and not all(map(is_limited, windows)):
            # Another process may just have been refused
            self._settlements.start_aside(self._learned.catch_up(claim.account))
        # What has ended may have used more than was held for it
        await self._settlements.all_done(claim.account)
        asked_at = self._clock()
        try:
            held = await self._ledger.reserve(claim)
        except WindowFullError as error:
            self._prospects.remember(claim.account, error.uses)
            self._line_up.note_full(request, error)
            return None
        self._prospects.remember(claim.account, held.uses)
        # Who is next may find more room, before the time that was told
        self._call(claim)
        return Hold(self, request, held, asked_at, trial)

    def _call(self, claim: Claim) -> None:
        self._lines.call((*claim.windows, self._exploration.line(claim.account)))

    def _windows(self, budget: Budget, priority: Priority) -> tuple[Window, ...]:
        learned = self._learned.apply(
            budget.deployment,
            budget.windows,
            checked_on=budget.checked_on,
            capped_by_user=budget.set_by_user,
        )
        return self.budgets.enforce(budget.deployment, learned, priority)

    def now(self) -> datetime:
        """The time by which its windows are counted."""
        return self._clock()

    def tried(self, trial: Trial) -> None:
        """A call that may find an unknown limit is on its way."""
        self._exploration.sent(trial)

    def settled(self, hold: Hold, used: Amounts | None) -> asyncio.Task[None]:
        """Write down what a call used; goes on even when nobody waits for it any more."""
        claim = hold.held.claim
        lasted_s = (self._clock() - hold.since).total_seconds()
        for window in claim.windows:
            is_over = used is None or window.unit == "concurrent"
            actual = 0.0 if is_over or used is None else used.of(window.unit)
            held = claim.amounts.of(window.unit)
            self._prospects.settle(claim.account, window, held=held, used=actual, lasted_s=lasted_s)
        if hold.trial is not None:
            line = self._exploration.line(claim.account)
            self._prospects.settle(claim.account, line, held=0, used=0, lasted_s=lasted_s)
        if used is not None:
            ref = hold.request.budget.deployment.ref
            self._estimates.note(ref, hold.request.estimate, used)
        return self._settlements.start(claim.account, self._settle(hold, used))

    async def _settle(self, hold: Hold, used: Amounts | None) -> None:
        if hold.trial is not None:
            await self._exploration.end(hold.trial, answered=used is not None)
        if hold.renewal is not None:
            await asyncio.wait({hold.renewal})
        await self._ledger.settle(hold.held, used)
        self._call(hold.held.claim)

    def renewed(self, hold: Hold) -> asyncio.Task[None]:
        """Write down that the provider counts a call from now on."""
        return self._settlements.start(hold.held.claim.account, self._ledger.renew(hold.held))
