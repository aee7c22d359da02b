"""Where calls are kept, and what is asked of them there."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from potluck.quota.call_hours import HourSum
from potluck.quota.call_sums import CallSum, PricedCall


class CallStore(Protocol):
    """Where calls are kept."""

    async def write(self, calls: Sequence[PricedCall]) -> None:
        """Keep the calls. Raises DatabaseError when it cannot now; then none of them is kept."""

    async def sums(self, since: date, tenant: str | None = None) -> list[CallSum]:
        """The sums of that day and those after it, oldest first. Raises DatabaseError.

        With `tenant` only its own calls count; see `is_of`.
        """

    async def hours(self, since: datetime, tenant: str | None = None) -> list[HourSum]:
        """The sums of the calls from then on, oldest hour first. Raises DatabaseError.

        Only of calls that are not forgotten yet.
        """

    async def forget(self, before: datetime) -> None:
        """Drop the calls from before that moment; their sums stay. Raises DatabaseError."""
