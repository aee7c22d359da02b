"""What a limiter promises, what it believes, and one that lets everything pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from potluck.errors import ErrorKind, ProviderError, ProviderFault
from potluck.quota.windows import Amounts, Deployment, Priority, StatedLimit, Use, Window

# Only these come back so soon that anybody waits for them
WORTH_WAITING = frozenset({ErrorKind.MINUTE, ErrorKind.CONCURRENCY})


class Reservation(Protocol):
    """Room held for one call, until it is committed or released; settling twice is harmless."""

    def sent(self) -> None:
        """The whole request is on its way to the provider now."""

    def arrived(self) -> None:
        """The provider has the request; one that was sent late counts from now on."""

    async def commit(self, used: Amounts) -> None:
        """Replace the estimate by what the call really used."""

    async def release(self) -> None:
        """Give all of it back: the call never counted."""


@dataclass(frozen=True, slots=True)
class Want:
    """Room for one call to a deployment; before `not_before` it would be of no use."""

    deployment: Deployment
    estimate: Amounts
    not_before: datetime | None = None


class Limiter(Protocol):
    """Takes room in all windows of a deployment or in none."""

    async def reserve(
        self,
        deployment: Deployment,
        estimate: Amounts,
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> Reservation:
        """Hold room for one call; wait for it, in line, for at most `patience_s`.

        Raises RefusedError: `minute`, `day`, `month`, `credits` or `concurrency` with the time
        when there is room again, or `too_large` when the call alone is more than the window.
        """

    async def reserve_first(
        self,
        wants: Sequence[Want],
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> tuple[int, Reservation]:
        """Hold room for one of the wants, whichever has it first; its index and the room.

        Waits for at most `patience_s`, in the lines of all of them. Raises NobodyHasRoomError.
        """

    def book(self, refusal: "RefusedError") -> None:
        """Whoever got the refusal asks again when it says: others are told a later time."""

    def learn(
        self, deployment: Deployment, stated: Sequence[StatedLimit], *, refused: bool = False
    ) -> None:
        """The provider told of its limits: they hold from the next call on.

        `refused` when it told because the call was beyond them.
        """

    def known_uses(self, deployment: Deployment) -> Sequence[Use]:
        """The deployment's windows and their use when last heard of; asks nobody."""

    async def uses(self, deployment: Deployment) -> list[Use]:
        """The deployment's windows and their use now."""


class RefusedError(ProviderError):
    """Our own limiter refused the call: nothing was sent.

    `window` is the one that is full, and `amount` what the call wanted of it.
    """

    def __init__(
        self,
        provider: str,
        model: str,
        fault: ProviderFault,
        *,
        window: Window | None = None,
        amount: float = 0.0,
    ) -> None:
        super().__init__(provider, model, fault)
        self.window = window
        self.amount = amount

    def copy(self) -> "RefusedError":
        """The same error without its traceback."""
        return RefusedError(
            self.provider, self.model, self.fault, window=self.window, amount=self.amount
        )


class NobodyHasRoomError(Exception):
    """None of several models has room in time; a refusal for each that was asked, by its index."""

    def __init__(self, refusals: Mapping[int, RefusedError]) -> None:
        super().__init__("; ".join(str(refusal) for refusal in refusals.values()))
        self.refusals = refusals


class Learned(Protocol):
    """What providers have told of their limits."""

    @property
    def version(self) -> int:
        """Another number whenever something else is believed, but for what ends by itself."""

    def note(
        self, deployment: Deployment, stated: Sequence[StatedLimit], *, uses: Sequence[Use]
    ) -> Sequence[tuple[Window, float]]:
        """Keep it; gives the windows of which more is used than we know, and how much at least."""

    def apply(
        self,
        deployment: Deployment,
        windows: Sequence[Window],
        *,
        checked_on: date | None,
        capped_by_user: frozenset[str],
    ) -> tuple[Window, ...]:
        """The windows with what was learned in force; the same tuple while nothing changes."""

    def lags(self, account: str) -> bool:
        """Whether other processes may have learned of the account what is not known here."""

    async def catch_up(self, account: str) -> None:
        """Take over what other processes have learned of the account just now; never fails."""

    def last_end(self, account: str) -> datetime | None:
        """When limits of its minutes ended that are not believed any more; None: there are none."""


class Estimates(Protocol):
    """How far estimates are off, by model."""

    def correct(self, ref: str, estimate: Amounts) -> Amounts:
        """The estimate as experience has it."""

    def note(self, ref: str, estimated: Amounts, actual: Amounts) -> None:
        """A call that was estimated so really used that."""


class NothingLearned:
    """Believes the catalog."""

    version = 0

    def note(
        self,
        deployment: Deployment,  # noqa: ARG002 # the protocol's
        stated: Sequence[StatedLimit],  # noqa: ARG002 # the protocol's
        *,
        uses: Sequence[Use],  # noqa: ARG002 # the protocol's
    ) -> Sequence[tuple[Window, float]]:
        """Forget it."""
        return ()

    def apply(
        self,
        deployment: Deployment,  # noqa: ARG002 # the protocol's
        windows: Sequence[Window],
        *,
        checked_on: date | None,  # noqa: ARG002 # the protocol's
        capped_by_user: frozenset[str],  # noqa: ARG002 # the protocol's
    ) -> tuple[Window, ...]:
        """The windows as they are."""
        return windows if isinstance(windows, tuple) else tuple(windows)

    def lags(self, account: str) -> bool:  # noqa: ARG002 # the protocol's
        """Nobody learns."""
        return False

    async def catch_up(self, account: str) -> None:
        """Nobody learns."""

    def last_end(self, account: str) -> datetime | None:  # noqa: ARG002 # the protocol's
        """Nothing ends."""
        return None


class RawEstimates:
    """Takes estimates as they are."""

    def correct(self, ref: str, estimate: Amounts) -> Amounts:  # noqa: ARG002 # the protocol's
        """The estimate itself."""
        return estimate

    def note(self, ref: str, estimated: Amounts, actual: Amounts) -> None:
        """Forget it."""


class NoLimiter:
    """Lets every call pass, and counts none."""

    async def reserve(
        self,
        deployment: Deployment,  # noqa: ARG002 # the protocol's
        estimate: Amounts,  # noqa: ARG002 # the protocol's
        *,
        priority: Priority = "interactive",  # noqa: ARG002 # the protocol's
        patience_s: float = 0.0,  # noqa: ARG002 # the protocol's
    ) -> Reservation:
        """Hold nothing."""
        return self

    async def reserve_first(
        self,
        wants: Sequence[Want],  # noqa: ARG002 # the protocol's
        *,
        priority: Priority = "interactive",  # noqa: ARG002 # the protocol's
        patience_s: float = 0.0,  # noqa: ARG002 # the protocol's
    ) -> tuple[int, Reservation]:
        """Hold nothing, for the first."""
        return 0, self

    def book(self, refusal: RefusedError) -> None:
        """Book nothing."""

    def sent(self) -> None:
        """Note nothing."""

    def arrived(self) -> None:
        """Note nothing."""

    async def commit(self, used: Amounts) -> None:
        """Count nothing."""

    async def release(self) -> None:
        """Give nothing back."""

    def learn(
        self, deployment: Deployment, stated: Sequence[StatedLimit], *, refused: bool = False
    ) -> None:
        """Learn nothing."""

    def known_uses(self, deployment: Deployment) -> Sequence[Use]:  # noqa: ARG002 # the protocol's
        """No windows."""
        return ()

    async def uses(self, deployment: Deployment) -> list[Use]:  # noqa: ARG002 # the protocol's
        """No windows."""
        return []
