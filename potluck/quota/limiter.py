"""Admits a call to a model only when each of the model's windows has room for it."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault

_SPANS = {
    ErrorKind.MINUTE: timedelta(minutes=1),
    ErrorKind.DAY: timedelta(days=1),
    ErrorKind.MONTH: timedelta(days=30),
}


class Limits(Protocol):
    """A model's limits as the catalog states them; None means that nobody states one."""

    @property
    def requests_per_minute(self) -> int | None: ...  # noqa: D102 - the names say it
    @property
    def requests_per_day(self) -> int | None: ...  # noqa: D102 - the names say it
    @property
    def requests_per_month(self) -> int | None: ...  # noqa: D102 - the names say it
    @property
    def tokens_per_minute(self) -> int | None: ...  # noqa: D102 - the names say it
    @property
    def tokens_per_day(self) -> int | None: ...  # noqa: D102 - the names say it


class LimitedModel(Protocol):
    """What a limiter needs to know of a model."""

    @property
    def provider(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def id(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def limits(self) -> Limits: ...  # noqa: D102 - the names say it


class Reservation(Protocol):
    """Room held for one call, until it is committed or released; settling twice is harmless."""

    async def commit(self, tokens: int) -> None:
        """Replace the estimate by what the call really used."""

    async def release(self) -> None:
        """Give all of it back: the call never counted."""


class Limiter(Protocol):
    """Takes room in all windows of a model or in none."""

    async def reserve(self, model: LimitedModel, tokens: int, *, account: int = 0) -> Reservation:
        """Hold room for one request of about `tokens`.

        `account` tells the keys of one provider apart; each has a budget of its own.
        Raises ProviderError: `minute`, `day` or `month` with the time when there is room again,
        or `too_large` when the request alone is more than the window.
        """


@dataclass(slots=True, eq=False)
class _Entry:
    at: datetime


@dataclass(slots=True)
class _Window:
    """One rolling window; `entries` holds each admitted call's tokens, oldest first."""

    kind: ErrorKind
    max_requests: int | None
    max_tokens: int | None
    tokens: int = 0
    entries: OrderedDict[_Entry, int] = field(default_factory=OrderedDict)

    @property
    def span(self) -> timedelta:
        return _SPANS[self.kind]

    def expire(self, now: datetime) -> None:
        while self.entries:
            oldest = next(iter(self.entries))
            if oldest.at + self.span > now:
                return
            self.tokens -= self.entries.pop(oldest)

    def admit(self, entry: _Entry, tokens: int) -> None:
        self.entries[entry] = tokens
        self.tokens += tokens

    def settle(self, entry: _Entry, tokens: int | None) -> None:
        if entry not in self.entries:
            return
        self.tokens -= self.entries[entry]
        if tokens is None:
            del self.entries[entry]
        else:
            self.entries[entry] = tokens
            self.tokens += tokens

    def fits(self, tokens: int) -> bool:
        """Whether the call would fit into the window if the window were empty."""
        return self.max_tokens is None or tokens <= self.max_tokens

    def free_at(self, tokens: int) -> datetime | None:
        """When there is room for one more request of `tokens`; None: there is room now."""
        count, used, free_at = len(self.entries), self.tokens, None
        for entry, entry_tokens in self.entries.items():
            if self._has_room(count, used + tokens):
                break
            count -= 1
            used -= entry_tokens
            free_at = entry.at + self.span
        return free_at

    def _has_room(self, count: int, tokens: int) -> bool:
        return (self.max_requests is None or count < self.max_requests) and (
            self.max_tokens is None or tokens <= self.max_tokens
        )


@dataclass(slots=True)
class _MemoryReservation:
    windows: tuple[_Window, ...]
    entry: _Entry
    settled: bool = False

    async def commit(self, tokens: int) -> None:
        self._settle(tokens)

    async def release(self) -> None:
        self._settle(None)

    def _settle(self, tokens: int | None) -> None:
        if self.settled:
            return
        self.settled = True
        for window in self.windows:
            window.settle(self.entry, tokens)


class RateLimiter:
    """A Limiter in this process's memory; safe among tasks, as nothing in it waits."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str, int], tuple[_Window, ...]] = {}

    async def reserve(self, model: LimitedModel, tokens: int, *, account: int = 0) -> Reservation:
        """Hold room for one request of about `tokens`, as `Limiter.reserve` promises."""
        now = self._clock()
        windows = self._windows_of(model, account)
        for window in windows:
            window.expire(now)
        _refuse_if_full(model, windows, tokens)
        entry = _Entry(now)
        for window in windows:
            window.admit(entry, tokens)
        return _MemoryReservation(windows, entry)

    def _windows_of(self, model: LimitedModel, account: int) -> tuple[_Window, ...]:
        key = (model.provider, model.id, account)
        if key not in self._windows:
            self._windows[key] = _build_windows(model.limits)
        return self._windows[key]


def _build_windows(limits: Limits) -> tuple[_Window, ...]:
    stated = (
        _Window(ErrorKind.MINUTE, limits.requests_per_minute, limits.tokens_per_minute),
        _Window(ErrorKind.DAY, limits.requests_per_day, limits.tokens_per_day),
        _Window(ErrorKind.MONTH, limits.requests_per_month, None),
    )
    return tuple(w for w in stated if w.max_requests is not None or w.max_tokens is not None)


def _refuse_if_full(model: LimitedModel, windows: tuple[_Window, ...], tokens: int) -> None:
    for window in windows:
        if not window.fits(tokens):
            message = (
                f"about {tokens} tokens are more than the {window.max_tokens} tokens "
                f"that this model takes in one {window.kind.value}"
            )
            fault = ProviderFault(ErrorKind.TOO_LARGE, ErrorScope.REQUEST, message)
            raise ProviderError(model.provider, model.id, fault)
    full = [(until, window) for window in windows if (until := window.free_at(tokens))]
    if not full:
        return
    until, window = max(full, key=lambda pair: pair[0])
    message = f"its limit for the {window.kind.value} is used up"
    fault = ProviderFault(window.kind, ErrorScope.MODEL, message, until=until)
    raise ProviderError(model.provider, model.id, fault)
