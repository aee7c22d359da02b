"""Calls kept in this process alone, for when there is no database."""

from collections import deque
from collections.abc import Sequence
from datetime import date, datetime

from potluck.quota.call_hours import HourSum, add_up_hours
from potluck.quota.call_sums import CallSum, PricedCall, add_up
from potluck.quota.calls import is_of

MOST_CALLS = 10_000


class CallMemory:
    """The last calls and all their sums, until the process ends."""

    def __init__(self) -> None:
        self.calls: deque[PricedCall] = deque(maxlen=MOST_CALLS)
        self._sums: list[CallSum] = []

    async def write(self, calls: Sequence[PricedCall]) -> None:
        """Keep the calls."""
        self.calls.extend(calls)
        self._sums = add_up(calls, self._sums)

    async def sums(self, since: date, tenant: str | None = None) -> list[CallSum]:
        """The sums of that day and those after it, oldest first.

        A tenant's are of the calls that are still kept one by one.
        """
        own = (call for call in self.calls if is_of(call.record, tenant))
        sums = self._sums if tenant is None else add_up(own)
        return sorted(
            (one for one in sums if one.day >= since),
            key=lambda one: (one.day, one.provider, one.model, one.outcome),
        )

    async def hours(self, since: datetime, tenant: str | None = None) -> list[HourSum]:
        """The sums of the calls from then on, oldest hour first."""
        return add_up_hours(
            call for call in self.calls if call.record.at >= since and is_of(call.record, tenant)
        )

    async def forget(self, before: datetime) -> None:
        """Drop the calls from before that moment; their sums stay."""
        while self.calls and self.calls[0].record.at < before:
            self.calls.popleft()
