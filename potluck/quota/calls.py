"""A call to a model, as the usage history keeps it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from potluck.quota.windows import Priority

Outcome = Literal["answered", "cached", "failed", "refused", "cancelled"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a provider's list asks for a model, in USD per million tokens."""

    input: float
    output: float
    checked_on: date | None = None
    source: str | None = None

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """The cost of so many tokens, in USD."""
        return (self.input * input_tokens + self.output * output_tokens) / 1_000_000


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call; `refused` by our own limiter, so that nothing was sent.

    `error` is the kind of the fault. `first_token_s` and `duration_s` are measured from the start
    of the call. `parts` is how many steps of a plan shared it. The tokens of a `cached` call are
    those that it saved: what the answer cost when it was first given.
    """

    at: datetime
    provider: str
    model: str
    key_id: str
    task_type: str
    priority: Priority
    outcome: Outcome
    input_tokens: int = 0
    output_tokens: int = 0
    first_token_s: float | None = None
    duration_s: float = 0.0
    error: str | None = None
    parts: int = 1
    tenant: str = ""


def is_of(record: CallRecord, tenant: str | None) -> bool:
    """Whether a call is a tenant's: its own, or of a part that it has set apart (`tenant:part`).

    None: whoever's.
    """
    if tenant is None:
        return True
    return record.tenant == tenant or record.tenant.startswith(f"{tenant}:")


class Recorder(Protocol):
    """Takes notes of calls; never waits and never fails a call."""

    def note(self, record: CallRecord) -> None:
        """Keep the record."""


class NoRecorder:
    """Keeps nothing."""

    def note(self, record: CallRecord) -> None:
        """Forget the record."""
