"""What calls count against: one limit, in one unit, over one period of time."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens", "credits", "concurrent"]
Period = Literal["minute", "hour", "day", "month", "call"]
Priority = Literal["interactive", "background", "batch"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model on one account: whose limits a call counts against.

    `key_id` tells the accounts of a provider apart; it is a fingerprint of the key, not the key.
    """

    provider: str
    model: str
    key_id: str = ""
    ref: str = field(init=False, repr=False, compare=False)
    """`provider/model-id`, the name by which users and logs call it."""
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # They are looked up several times for each link and call
        object.__setattr__(self, "ref", f"{self.provider}/{self.model}")
        object.__setattr__(self, "_hash", hash((self.provider, self.model, self.key_id)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def account(self) -> str:
        """The name of the account, under which all its models' windows are locked."""
        return f"{self.provider}:{self.key_id}"


@dataclass(frozen=True, slots=True)
class Window:
    """One limit of a deployment, or of all deployments of an account together.

    `id` is unique and stable: use is kept under it. `period` `call` goes with unit `concurrent`:
    it counts the calls under way. `reset` tells how use ends: `rolling` (each use counts for one
    period), `refill` (the limit flows back evenly over the period), or the IANA name of the time
    zone in which the period ends by the calendar (midnight, first of the month). `limit` is in
    force; `stated` is the whole limit that the provider gives, of which policy may keep a part.
    `flows` is how much of a refilling window comes back in one period; None: as much as `limit`.
    A rolling window keeps each use for `guard_s` longer than its period: the provider may have
    counted it so much later than it was reserved.
    """

    id: str
    unit: Unit
    period: Period
    limit: float
    reset: str = "rolling"
    stated: float | None = None
    source: str = "catalog"
    guard_s: float = 0.0
    flows: float | None = None


@dataclass(frozen=True, slots=True)
class Amounts:
    """What one call uses, or is estimated to use."""

    input_tokens: float = 0
    output_tokens: float = 0
    credits: float = 0
    requests: float = 1

    def of(self, unit: Unit) -> float:
        """The amount in a window's unit."""
        match unit:
            case "tokens":
                return self.input_tokens + self.output_tokens
            case "concurrent":
                return 1
            case _:
                return float(getattr(self, unit))


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a window is used now, reservations included.

    `free_at` is when some of it comes back (None: nothing is used); `resets_at` when all of it is
    free again if nothing more is used.
    """

    window: Window
    used: float
    free_at: datetime | None = None
    resets_at: datetime | None = None

    @property
    def left(self) -> float:
        """What is left of the limit in force."""
        return max(0.0, self.window.limit - self.used)


@dataclass(frozen=True, slots=True)
class StatedLimit:
    """What a provider's answer tells of one of its windows; None: it does not tell.

    `account_wide` when all models of the account share it. `source` is shown to people, such as
    `header x-ratelimit-limit-requests`. A `guess` is concluded from a refusal without figures.
    `refills` when the time until the reset is as long as what is used takes to flow back evenly.
    """

    unit: Unit
    period: Period
    source: str
    limit: float | None = None
    remaining: float | None = None
    resets_at: datetime | None = None
    account_wide: bool = False
    from_header: bool = False
    refills: bool | None = None
