"""Admits a call to a model only when each of the model's windows has room for it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
from potluck.quota.budgets import Budget, Budgets
from potluck.quota.exploration import Exploration, Trial
from potluck.quota.ledger import Claim, Held, Ledger, WindowFullError
from potluck.quota.line_up import LineUp, Request
from potluck.quota.prospects import Prospects
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

_NEVER = datetime.max.replace(tzinfo=UTC)
# Reading waits no longer than this for what is being written
_SETTLED_S = 5.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was said of a deployment's use, right until then if nothing new is heard."""

    windows: Sequence[Window]
    news: int
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
        self._exploration = Exploration(clock)
        self._seen: dict[Deployment, _Seen] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: dict[str, set[asyncio.Task[None]]] = defaultdict(set)

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

    def learn(self, deployment: Deployment, stated: Sequence[StatedLimit]) -> None:
        """Limits hold from the next call on; use we did not know of is counted soon after."""
        if not stated:
            return
        kept = self.budgets.find(deployment).deployment
        for window, at_least in self._learned.note(kept, stated, uses=self.known_uses(kept)):
            if self._prospects.raise_to(kept.account, window, at_least):
                note = self._ledger.note_use(kept.account, window, at_least)
                self._run(asyncio.ensure_future(note))
        # Whoever waits because limits are unknown need not wait for the answer to end
        self._call(deployment, ())

    def known_uses(self, deployment: Deployment) -> Sequence[Use]:
        """The deployment's windows and their use when last heard of; asks nobody."""
        budget = self.budgets.find(deployment)
        windows = self._windows(budget, "interactive")
        news, now = self._prospects.news(budget.deployment.account), self._clock()
        seen = self._seen.get(deployment)
        if seen is None or seen.windows is not windows or seen.news != news or now >= seen.until:
            uses = tuple(self._prospects.use(window, now) for window in windows)
            ends = (use.resets_at for use in uses if use.resets_at is not None)
            seen = self._seen[deployment] = _Seen(windows, news, min(ends, default=_NEVER), uses)
        return seen.uses

    async def uses(self, deployment: Deployment) -> list[Use]:
        """The deployment's windows and their use now."""
        budget = self.budgets.find(deployment)
        await self._all_settled(budget.deployment.account)
        found = await self._ledger.uses(self._windows(budget, "interactive"))
        self._prospects.remember(budget.deployment.account, found)
        return found

    async def aclose(self) -> None:
        """Let what is being written end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def _request(self, want: Want, priority: Priority) -> Request:
        budget = self.budgets.find(want.deployment)
        amounts = self._estimates.correct(budget.deployment.ref, want.estimate)
        return Request(want.deployment, budget, want.estimate, amounts, priority, want.not_before)

    async def _try(self, request: Request, stand: Stand) -> "_Hold | None":
        """The room; or None, when the request knows which window is full until when."""
        now = self._clock()
        if request.is_out or (request.not_before is not None and now < request.not_before):
            return None
        windows = self._windows(request.budget, request.priority)
        unknown = self._exploration.window(request.deployment, windows)
        lines = windows if unknown is None else (*windows, unknown)
        if self._line_up.is_known_full(request, lines, stand, now):
            return None
        if unknown is None:
            return await self._take(request, windows, None)
        trial = self._exploration.begin(request.deployment, unknown)
        if trial is None:
            self._line_up.note_full(request, WindowFullError(unknown, None, ()))
            return None
        hold = None
        try:
            hold = await self._take(request, windows, trial)
        finally:
            if hold is None:
                self._exploration.end(request.deployment, trial, answered=False)
        return hold

    async def _take(
        self, request: Request, windows: tuple[Window, ...], trial: Trial | None
    ) -> "_Hold | None":
        claim = Claim(request.budget.deployment.account, windows, request.amounts)
        # What has ended may have used more than was held for it
        await self._all_settled(claim.account)
        try:
            held = await self._ledger.reserve(claim)
        except WindowFullError as error:
            self._prospects.remember(claim.account, error.uses)
            self._line_up.note_full(request, error)
            return None
        self._prospects.remember(claim.account, held.uses)
        # Who is next may find more room, before the time that was told
        self._call(request.deployment, windows)
        return _Hold(self, request, held, self._clock(), trial)

    def _call(self, deployment: Deployment, windows: Sequence[Window]) -> None:
        self._lines.call((*windows, self._exploration.line(deployment)))

    async def _all_settled(self, account: str) -> None:
        """What has ended on the account is in the ledger, if that can be had soon."""
        settling = self._settling.get(account)
        if settling:
            await asyncio.wait(set(settling), timeout=_SETTLED_S)

    def _windows(self, budget: Budget, priority: Priority) -> tuple[Window, ...]:
        learned = self._learned.apply(
            budget.deployment,
            budget.windows,
            checked_on=budget.checked_on,
            capped_by_user=budget.set_by_user,
        )
        return self.budgets.enforce(budget.deployment, learned, priority)

    def settled(self, hold: "_Hold", used: Amounts | None) -> asyncio.Task[None]:
        """Write down what a call used; goes on even when nobody waits for it any more."""
        claim = hold.held.claim
        lasted_s = (self._clock() - hold.since).total_seconds()
        for window in claim.windows:
            is_over = used is None or window.unit == "concurrent"
            actual = 0.0 if is_over or used is None else used.of(window.unit)
            held = claim.amounts.of(window.unit)
            self._prospects.settle(claim.account, window, held=held, used=actual, lasted_s=lasted_s)
        if hold.trial is not None:
            deployment, trial = hold.request.deployment, hold.trial
            self._exploration.end(deployment, trial, answered=used is not None)
            self._prospects.settle(claim.account, trial.window, held=0, used=0, lasted_s=lasted_s)
        if used is not None:
            ref = hold.request.budget.deployment.ref
            self._estimates.note(ref, hold.request.estimate, used)
        task = self._run(asyncio.ensure_future(self._settle(hold, used)))
        settling = self._settling[claim.account]
        settling.add(task)
        task.add_done_callback(settling.discard)
        return task

    async def _settle(self, hold: "_Hold", used: Amounts | None) -> None:
        await self._ledger.settle(hold.held, used)
        self._call(hold.request.deployment, hold.held.claim.windows)

    def _run(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@dataclass(slots=True)
class _Hold:
    limiter: QuotaLimiter
    request: Request
    held: Held
    since: datetime
    trial: Trial | None = None
    is_settled: bool = False

    async def commit(self, used: Amounts) -> None:
        # Written beside whoever has the answer already
        self._settle(used)

    async def release(self) -> None:
        task = self._settle(None)
        if task is not None:
            # A caller that is cancelled a second time must not leave the room held
            await asyncio.shield(task)

    def _settle(self, used: Amounts | None) -> asyncio.Task[None] | None:
        if self.is_settled:
            return None
        self.is_settled = True
        return self.limiter.settled(self, used)
