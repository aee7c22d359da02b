"""A model's or account's limits as somebody states them, and how their periods end."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import cast

from potluck.quota.windows import Period, Unit

ROLLING = "rolling"
REFILL = "refill"


@dataclass(frozen=True, slots=True)
class Limits:
    """Stated limits; None means that nobody states one. `credits` are the provider's own unit."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    requests_per_month: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    requests_per_hour: int | None = None
    tokens_per_hour: int | None = None
    tokens_per_month: int | None = None
    input_tokens_per_minute: int | None = None
    input_tokens_per_hour: int | None = None
    input_tokens_per_day: int | None = None
    input_tokens_per_month: int | None = None
    output_tokens_per_minute: int | None = None
    output_tokens_per_hour: int | None = None
    output_tokens_per_day: int | None = None
    output_tokens_per_month: int | None = None
    credits_per_day: float | None = None
    credits_per_month: float | None = None
    concurrent_requests: int | None = None

    def stated(self) -> Iterator[tuple[str, float]]:
        """Each limit that is stated, by its name."""
        for name in names():
            value = getattr(self, name)
            if value is not None:
                yield name, value


@cache
def names() -> tuple[str, ...]:
    """The names of all limits."""
    return tuple(one.name for one in fields(Limits))


@cache
def measure_of(name: str) -> tuple[Unit, Period]:
    """What the limit of that name counts, and over which period."""
    if name == "concurrent_requests":
        return "concurrent", "call"
    unit, _, period = name.partition("_per_")
    return cast("Unit", unit), cast("Period", period)


@dataclass(frozen=True, slots=True)
class Resets:
    """How a provider's periods end: `rolling`, `refill`, or the time zone of their midnight."""

    minute: str = ROLLING
    day: str = ROLLING
    month: str = "UTC"

    def of(self, period: Period) -> str:
        """How that period ends; hours are rolling."""
        match period:
            case "minute":
                return self.minute
            case "day":
                return self.day
            case "month":
                return self.month
            case _:
                return ROLLING
