"""What is known to be out, and until when: so that a dead model is not asked on every call.

Each model, key and provider is in one of four states. *Well*: asked in its turn. *Stumbled*: it
failed once or twice in a way that may pass, and is asked after those that are well. *Out*: a limit
is used up, a key is bad, or three failures of a kind in a row have tripped its breaker; it is not
asked. *On trial*: the time of a tripped breaker is over; one call is let through, all others pass
it by. If that call is answered, it is well again, else it is out for twice as long.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from potluck.errors import QUOTA_KINDS, ErrorKind, ErrorScope, ProviderError, ProviderFault

# How long a fault stands when the provider did not say
_STANDS = {
    ErrorKind.MINUTE: timedelta(seconds=60),
    ErrorKind.DAY: timedelta(hours=1),
    ErrorKind.MONTH: timedelta(hours=12),
    ErrorKind.CREDITS: timedelta(hours=12),
    ErrorKind.AUTH: timedelta(minutes=10),
    ErrorKind.MODEL_GONE: timedelta(hours=24),
    ErrorKind.CONCURRENCY: timedelta(seconds=5),
    ErrorKind.OVERLOAD: timedelta(seconds=15),
    ErrorKind.NETWORK: timedelta(seconds=15),
    ErrorKind.TIMEOUT: timedelta(seconds=120),
    ErrorKind.UNKNOWN: timedelta(seconds=15),
}
# These say that something is wrong over there, not what: a few of them trip the breaker
_SYMPTOMS = frozenset(
    {
        ErrorKind.OVERLOAD,
        ErrorKind.NETWORK,
        ErrorKind.TIMEOUT,
        ErrorKind.UNKNOWN,
        ErrorKind.EMPTY,
    }
)
_TRANSIENT = _SYMPTOMS | {ErrorKind.CONCURRENCY}
TRIPS_AFTER = 3
FIRST_BREAK = timedelta(seconds=30)
LONGEST_BREAK = timedelta(minutes=15)
# A trial whose end nobody told is given up
LONGEST_TRIAL = timedelta(minutes=5)

Place = tuple[str, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Outage:
    """A fault that still stands; `certain` when asking again before `until` makes no sense."""

    error: ProviderError
    until: datetime
    certain: bool


@dataclass(frozen=True, slots=True)
class _Trial:
    by: object
    ends: datetime


@dataclass(slots=True)
class _Health:
    """What is held against one place."""

    outage: Outage | None = None
    failures: Counter[ErrorKind] = field(default_factory=Counter)
    breaks: int = 0
    trial: _Trial | None = None
    noted_at: datetime | None = None

    def is_spent_since(self, begun: datetime) -> bool:
        """Whether a limit of it was found used up after that."""
        is_spent = self.outage is not None and self.outage.error.kind in QUOTA_KINDS
        return is_spent and self.noted_at is not None and self.noted_at > begun

    def find(self, now: datetime) -> Outage | None:
        """What keeps it from being asked now."""
        if self.outage is None or self.outage.until > now:
            return self.outage
        if self.breaks and self.trial is not None and self.trial.ends > now:
            return Outage(self.outage.error, self.trial.ends, certain=True)
        return None


class Outages:
    """The health of each model, key and provider."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._health: dict[Place, _Health] = {}

    def find(self, provider: str, model: str, *, account: int) -> Outage | None:
        """The outage that keeps this model from answering now; the longest if there are several."""
        if not self._health:
            return None
        now = self._clock()
        found = (health.find(now) for health in self._held(provider, model, account))
        standing = (outage for outage in found if outage is not None)
        return max(standing, key=lambda outage: (outage.certain, outage.until), default=None)

    def enter(self, provider: str, model: str, *, account: int, by: object) -> Outage | None:
        """As `find`; when nothing certain stands, a call begins, which is the trial if one is due.

        Whoever entered has to say how it ended: with `note`, `forget` or `leave`, as the same `by`.
        """
        outage = self.find(provider, model, account=account)
        if outage is None or not outage.certain:
            now = self._clock()
            for health in self._held(provider, model, account):
                if health.breaks:
                    health.trial = _Trial(by, now + LONGEST_TRIAL)
        return outage

    def leave(self, provider: str, model: str, *, account: int, by: object) -> None:
        """A call ended without telling anything about the model."""
        for health in self._held(provider, model, account):
            if health.trial is not None and health.trial.by is by:
                health.trial = None

    def forget(
        self, provider: str, model: str, *, account: int, begun: datetime | None = None
    ) -> None:
        """A call succeeded: what was held against this model, key and provider is over.

        Not that a limit was reached after the call had `begun`.
        """
        for place in _places(provider, model, account):
            health = self._health.get(place)
            if health is not None and not (begun and health.is_spent_since(begun)):
                del self._health[place]
                self._ended(place)

    def note(self, error: ProviderError, *, account: int, by: object = None) -> None:
        """A call failed: remember it, unless it says nothing about the next one."""
        self.leave(error.provider, error.model, account=account, by=by)
        fault = error.fault
        counts = fault.kind in _SYMPTOMS and not _is_our_own_doing(fault)
        if not counts and fault.status is not None:
            self._end_breaks(error, account)
        default = _STANDS.get(fault.kind)
        stands = fault.scope is not ErrorScope.REQUEST and (default or fault.until)
        if not (counts or stands):
            return
        place = _place(error, fault, account)
        health = self._health.setdefault(place, _Health())
        now = self._clock()
        if stands:
            until = fault.until or now + (default or timedelta())
            certain = fault.until is not None or fault.kind not in _TRANSIENT
            health.outage = Outage(_with_time(error, until), until, certain)
            health.noted_at = now
            self._began(place, health.outage, is_guess=fault.until is None)
        if counts:
            health.failures[fault.kind] += 1
            if health.breaks or health.failures[fault.kind] >= TRIPS_AFTER:
                _trip(health, error, now)

    def _began(self, place: Place, outage: Outage, *, is_guess: bool) -> None:
        """An outage stands from now on; `is_guess` when the provider did not say for how long."""

    def _ended(self, place: Place) -> None:
        """A call has shown that nothing stands there any more."""

    def _take(self, place: Place, outage: Outage, noted_at: datetime) -> None:
        """Somebody else met this outage, then."""
        health = self._health.setdefault(place, _Health())
        if health.noted_at is None or health.noted_at < noted_at:
            health.outage, health.noted_at = outage, noted_at

    def _drop(self, place: Place, noted_at: datetime) -> None:
        """The outage that was met then is over, as somebody else has found."""
        health = self._health.get(place)
        if health is not None and health.noted_at == noted_at:
            del self._health[place]

    def _end_breaks(self, error: ProviderError, account: int) -> None:
        """It gave a proper answer, if not the one that was hoped for: it is not dead."""
        for health in self._held(error.provider, error.model, account):
            health.failures.clear()
            health.breaks = 0

    def _held(self, provider: str, model: str, account: int) -> list[_Health]:
        places = _places(provider, model, account)
        return [self._health[place] for place in places if place in self._health]


def _trip(health: _Health, error: ProviderError, now: datetime) -> None:
    """Open the breaker: for longer each time, and at least for as long as the provider said."""
    span = min(FIRST_BREAK * 2 ** min(health.breaks, 10), LONGEST_BREAK)
    until = max(now + span, error.fault.until or now)
    health.breaks += 1
    health.outage = Outage(error.copy(), until, certain=True)


def _with_time(error: ProviderError, until: datetime) -> ProviderError:
    """The error for those who come later; of quota it tells when to ask again, come what may."""
    if error.kind not in QUOTA_KINDS or error.fault.until is not None:
        return error.copy()
    return ProviderError(error.provider, error.model, replace(error.fault, until=until))


def _is_our_own_doing(fault: ProviderFault) -> bool:
    """Time that was over before the model had its share says nothing about the model."""
    return fault.scope is ErrorScope.REQUEST and fault.kind is not ErrorKind.EMPTY


def _place(error: ProviderError, fault: ProviderFault, account: int) -> Place:
    match fault.scope:
        case ErrorScope.PROVIDER:
            return (error.provider, None, None)
        case ErrorScope.KEY:
            return (error.provider, None, account)
        case _:
            return (error.provider, error.model, account)


def _places(provider: str, model: str, account: int) -> tuple[Place, Place, Place]:
    return ((provider, None, None), (provider, None, account), (provider, model, account))
