"""What is known to be out, and until when: so that a dead model is not asked on every call."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault

# How long a fault stands when the provider did not say. Those of minutes or more are certain
# enough to leave the model out; the others only move it behind the healthy ones.
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
    ErrorKind.TIMEOUT: timedelta(seconds=30),
    ErrorKind.UNKNOWN: timedelta(seconds=15),
}
_TRANSIENT = frozenset(
    {
        ErrorKind.CONCURRENCY,
        ErrorKind.OVERLOAD,
        ErrorKind.NETWORK,
        ErrorKind.TIMEOUT,
        ErrorKind.UNKNOWN,
    }
)

Place = tuple[str, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Outage:
    """A fault that still stands; `certain` when asking again before `until` makes no sense."""

    error: ProviderError
    until: datetime
    certain: bool


class Outages:
    """The last fault of each model, key and provider, for as long as it stands."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._standing: dict[Place, Outage] = {}

    def note(self, error: ProviderError, *, account: int) -> None:
        """Remember a failed call, unless it says nothing about the next one."""
        fault = error.fault
        default = _STANDS.get(fault.kind)
        if fault.scope is ErrorScope.REQUEST or (default is None and fault.until is None):
            return
        until = fault.until or self._clock() + (default or timedelta())
        certain = fault.until is not None or fault.kind not in _TRANSIENT
        self._standing[_place(error, fault, account)] = Outage(error.copy(), until, certain)

    def forget(self, provider: str, model: str, *, account: int) -> None:
        """A call succeeded: what was held against this model, key and provider is over."""
        for place in _places(provider, model, account):
            self._standing.pop(place, None)

    def find(self, provider: str, model: str, *, account: int) -> Outage | None:
        """The outage that keeps this model from answering now; the longest if there are several."""
        now = self._clock()
        standing = []
        for place in _places(provider, model, account):
            outage = self._standing.get(place)
            if outage is not None and outage.until > now:
                standing.append(outage)
        return max(standing, key=lambda outage: (outage.certain, outage.until), default=None)


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
