"""Limits that nobody knows are found one call after the other, not by many that are refused."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from potluck.quota.budgets import is_limited, window_id
from potluck.quota.windows import Deployment, Window

_MINUTE = timedelta(minutes=1)
# Whoever refuses does so at once: a call that is under way for longer was taken
_TAKEN = timedelta(seconds=2)
# For so many calls that a minute has granted, one more at a time goes beyond them
_STEP = 32


@dataclass(slots=True)
class _Account:
    """When the calls that may still be refused began, when others were taken, the best minute."""

    new: dict[int, datetime] = field(default_factory=dict)
    taken: deque[datetime] = field(default_factory=deque)
    granted: int = 0

    def advance(self, now: datetime) -> None:
        for number, began in list(self.new.items()):
            if began + _TAKEN <= now:
                del self.new[number]
                self.take(began + _TAKEN)
        while self.taken and self.taken[0] + _MINUTE <= now:
            self.taken.popleft()

    def take(self, at: datetime) -> None:
        self.taken.append(at)
        while self.taken[0] + _MINUTE <= at:
            self.taken.popleft()
        self.granted = max(self.granted, len(self.taken))


@dataclass(frozen=True, slots=True)
class Trial:
    """A call to an account whose limits are unknown; `window` is what it takes one of."""

    number: int
    window: Window


class Exploration:
    """How many calls an account is sent at once while its limits are unknown.

    As many as a minute has granted before; beyond that one at a time, so that each can tell of a
    limit before the next is sent. What an account without a key takes (a model of one's own)
    nobody counts. This is each process's own.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._number = 0

    def window(self, deployment: Deployment, windows: Sequence[Window]) -> Window | None:
        """What a call must find room in before it is sent; None when limits are known."""
        if not deployment.key_id:
            return None
        if any(is_limited(one) and one.period in {"minute", "call"} for one in windows):
            # What was granted before may have been by another limit
            self._accounts.pop(deployment.account, None)
            return None
        account = self._accounts.setdefault(deployment.account, _Account())
        account.advance(self._clock())
        beyond = 1 + account.granted // _STEP
        free = max(0, account.granted - len(account.taken)) + beyond
        return _window(deployment, free)

    def begin(self, deployment: Deployment, window: Window) -> Trial | None:
        """A call is sent; None when there is no room for it."""
        account = self._accounts.setdefault(deployment.account, _Account())
        if len(account.new) >= window.limit:
            return None
        self._number += 1
        account.new[self._number] = self._clock()
        return Trial(self._number, window)

    def end(self, deployment: Deployment, trial: Trial, *, answered: bool) -> None:
        """It is over; what was not answered was not granted."""
        account = self._accounts.get(deployment.account)
        if account is not None and account.new.pop(trial.number, None) is not None and answered:
            account.take(self._clock())

    @staticmethod
    def line(deployment: Deployment) -> Window:
        """The window by whose id calls wait for their turn, whether limits are known by now."""
        return _window(deployment, 1)


def _window(deployment: Deployment, limit: int) -> Window:
    name = window_id(deployment.account, None, "concurrent", "call")
    return Window(f"{name} (limits unknown)", "concurrent", "call", limit)
