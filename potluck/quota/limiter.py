"""Admits a call to a model only when each of the model's windows has room for it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from potluck.errors import ErrorKind, ErrorScope, ProviderFault
from potluck.quota.admission import (
    WORTH_WAITING,
    Estimates,
    Learned,
    Limiter,
    NoLimiter,
    NothingLearned,
    RawEstimates,
    RefusedError,
    Reservation,
)
from potluck.quota.budgets import Budget, Budgets, is_account_wide
from potluck.quota.ledger import Claim, Held, Ledger, WindowFullError
from potluck.quota.waiting import Lines, Ticket
from potluck.quota.windows import (
    Amounts,
    Deployment,
    Period,
    Priority,
    StatedLimit,
    Use,
    Window,
)

__all__ = ["WORTH_WAITING", "Limiter", "NoLimiter", "QuotaLimiter", "RefusedError", "Reservation"]

_KINDS: Mapping[Period, ErrorKind] = {
    "minute": ErrorKind.MINUTE,
    "hour": ErrorKind.DAY,
    "day": ErrorKind.DAY,
    "month": ErrorKind.MONTH,
    "call": ErrorKind.CONCURRENCY,
}
_MINUTE_S = 60.0
# How long a call is taken to last until one was seen, and how often a full window that other
# processes may leave is asked about
_CALL_S = 5.0
_ASK_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class _Request:
    """What one call asks of the limiter."""

    deployment: Deployment
    budget: Budget
    estimate: Amounts
    amounts: Amounts
    priority: Priority
    deadline: datetime


class QuotaLimiter:
    """A Limiter over a ledger: catalog, learned limits, policy, and lines to wait in.

    `sleep` waits for so many seconds of `clock`. Close it with `aclose`, which leaves the ledger
    open.
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
        self._known: dict[str, Use] = {}
        self._call_s: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def reserve(
        self,
        deployment: Deployment,
        estimate: Amounts,
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> Reservation:
        """Hold room for one call, as `Limiter.reserve` promises."""
        budget = self.budgets.find(deployment)
        amounts = self._estimates.correct(budget.deployment.ref, estimate)
        deadline = self._clock() + timedelta(seconds=patience_s)
        request = _Request(deployment, budget, estimate, amounts, priority, deadline)
        ticket: Ticket | None = None
        try:
            while True:
                windows = self._windows(budget, priority)
                held = await self._try(request, windows, ticket)
                if isinstance(held, Held):
                    return _Hold(self, request, held, self._clock())
                window, until = held
                ticket = self._lines.join(window, priority, amounts.of(window.unit), ticket)
                await self._lines.wait(ticket, self._nap_s(window, until, deadline))
        finally:
            if ticket is not None:
                self._lines.leave(ticket)

    def learn(self, deployment: Deployment, stated: Sequence[StatedLimit]) -> None:
        """Limits hold from the next call on; use we did not know of is counted soon after."""
        if not stated:
            return
        kept = self.budgets.find(deployment).deployment
        for window, at_least in self._learned.note(kept, stated, uses=self.known_uses(kept)):
            known = self._known.get(window.id)
            if known is None or known.used < at_least:
                self._known[window.id] = Use(window, at_least)
                note = self._ledger.note_use(kept.account, window, at_least)
                self._run(asyncio.ensure_future(note))

    def known_uses(self, deployment: Deployment) -> Sequence[Use]:
        """The deployment's windows and their use when last heard of; asks nobody."""
        now = self._clock()
        budget = self.budgets.find(deployment)
        return [self._known_use(window, now) for window in self._windows(budget, "interactive")]

    async def uses(self, deployment: Deployment) -> list[Use]:
        """The deployment's windows and their use now."""
        windows = self._windows(self.budgets.find(deployment), "interactive")
        found = await self._ledger.uses(windows)
        self._remember(found)
        return found

    async def aclose(self) -> None:
        """Let what is being written end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _try(
        self, request: _Request, windows: tuple[Window, ...], ticket: Ticket | None
    ) -> Held | tuple[Window, datetime | None]:
        """The room; or, when it is worth waiting, the window that is full and until when.

        Raises RefusedError when it is not.
        """
        blocked = self._lines.ahead(windows, request.priority, ticket)
        if blocked is not None:
            window, before = blocked
            turn = self._turn(window, None, sum(one.amount for one in before))
            return self._worth_waiting(request, window, turn, turn)
        claim = Claim(request.budget.deployment.account, windows, request.amounts)
        try:
            held = await self._ledger.reserve(claim)
        except WindowFullError as full:
            self._remember(full.uses)
            if full.until is None and full.window.unit != "concurrent":
                raise self._too_large(request, full.window) from None
            turn = self._turn(full.window, full.until, 0.0)
            return self._worth_waiting(request, full.window, turn, full.until)
        self._remember(held.uses)
        return held

    def _worth_waiting(
        self, request: _Request, window: Window, turn: datetime, until: datetime | None
    ) -> tuple[Window, datetime | None]:
        kind = _kind(window)
        if kind not in WORTH_WAITING or turn > request.deadline or self._clock() > request.deadline:
            raise self._full(request, window, turn)
        return window, until

    def _turn(self, window: Window, until: datetime | None, before: float) -> datetime:
        """About when the window has room for the next, after those that stand before it."""
        now = self._clock()
        if window.unit == "concurrent":
            call_s = self._call_s.get(window.id, _CALL_S)
            return now + timedelta(seconds=call_s * (before + 1) / max(window.limit, 1.0) / 2)
        known = self._known.get(window.id)
        first = until or (known.free_at if known is not None else None) or now
        pace_s = _MINUTE_S / max(window.limit, 1e-9)
        return max(first, now) + timedelta(seconds=before * pace_s)

    def _nap_s(self, window: Window, until: datetime | None, deadline: datetime) -> float:
        now = self._clock()
        left_s = (deadline - now).total_seconds()
        if window.unit == "concurrent" or until is None:
            return min(_ASK_AGAIN_S, left_s)
        return min((until - now).total_seconds(), left_s)

    def _full(self, request: _Request, window: Window, until: datetime) -> RefusedError:
        message = f"its limit for the {window.period} is used up"
        if window.unit == "concurrent":
            message = "as many calls are under way as it takes at once"
        return self._refusal(request, window, _kind(window), message, until)

    def _too_large(self, request: _Request, window: Window) -> RefusedError:
        message = (
            f"about {request.amounts.of(window.unit):.0f} {_name(window)} are more than the "
            f"{window.limit:.0f} that it takes in one {window.period}"
        )
        return self._refusal(request, window, ErrorKind.TOO_LARGE, message, None)

    def _refusal(
        self,
        request: _Request,
        window: Window,
        kind: ErrorKind,
        message: str,
        until: datetime | None,
    ) -> RefusedError:
        scope = ErrorScope.KEY if is_account_wide(window) else ErrorScope.MODEL
        if kind is ErrorKind.TOO_LARGE:
            scope = ErrorScope.REQUEST
        fault = ProviderFault(kind, scope, message, until=until)
        return RefusedError(request.deployment.provider, request.deployment.model, fault)

    def _windows(self, budget: Budget, priority: Priority) -> tuple[Window, ...]:
        learned = self._learned.apply(
            budget.deployment,
            budget.windows,
            checked_on=budget.checked_on,
            capped_by_user=budget.set_by_user,
        )
        return self.budgets.enforce(budget.deployment, learned, priority)

    def _known_use(self, window: Window, now: datetime) -> Use:
        use = self._known.get(window.id)
        if use is None or (use.resets_at is not None and use.resets_at <= now):
            return Use(window, 0.0)
        return use if use.window is window else replace(use, window=window)

    def _remember(self, uses: Sequence[Use]) -> None:
        for use in uses:
            self._known[use.window.id] = use

    def settled(self, hold: "_Hold", used: Amounts | None) -> asyncio.Task[None]:
        """Write down what a call used; goes on even when nobody waits for it any more."""
        claim = hold.held.claim
        for window in claim.windows:
            known = self._known.get(window.id)
            if known is not None:
                actual = (
                    0.0 if used is None or window.unit == "concurrent" else used.of(window.unit)
                )
                left = max(0.0, known.used - claim.amounts.of(window.unit) + actual)
                self._known[window.id] = replace(known, used=left)
            if window.unit == "concurrent":
                lasted_s = (self._clock() - hold.since).total_seconds()
                before_s = self._call_s.get(window.id, lasted_s)
                self._call_s[window.id] = before_s + (lasted_s - before_s) / 4
        if used is not None:
            ref = hold.request.budget.deployment.ref
            self._estimates.note(ref, hold.request.estimate, used)
        return self._run(asyncio.ensure_future(self._settle(hold.held, used)))

    async def _settle(self, held: Held, used: Amounts | None) -> None:
        await self._ledger.settle(held, used)
        self._lines.call(held.claim.windows)

    def _run(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@dataclass(slots=True)
class _Hold:
    limiter: QuotaLimiter
    request: _Request
    held: Held
    since: datetime
    is_settled: bool = False

    async def commit(self, used: Amounts) -> None:
        await self._settle(used)

    async def release(self) -> None:
        await self._settle(None)

    async def _settle(self, used: Amounts | None) -> None:
        if not self.is_settled:
            self.is_settled = True
            # A caller that is cancelled a second time must not leave the room held
            await asyncio.shield(self.limiter.settled(self, used))


def _kind(window: Window) -> ErrorKind:
    return ErrorKind.CREDITS if window.unit == "credits" else _KINDS[window.period]


def _name(window: Window) -> str:
    return window.unit.replace("_", " ")
