"""Room in the ledger for one call, from when it is asked for until the call is over."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from potluck.quota.exploration import Trial
from potluck.quota.ledger import Held
from potluck.quota.line_up import Request
from potluck.quota.windows import Amounts

# A call that is sent so long after its room was taken counts from when the provider has it. What
# is sooner, and the way there, is what each window's guard is for.
_LATE = timedelta(seconds=0.25)


class Settler(Protocol):
    """Writes down what becomes of the room, in tasks that nobody has to wait for."""

    def now(self) -> datetime:
        """The time by which windows are counted."""

    def tried(self, trial: Trial) -> None:
        """A call that may find an unknown limit is on its way."""

    def settled(self, hold: "Hold", used: Amounts | None) -> asyncio.Task[None]:
        """The call used so much; None: nothing."""

    def renewed(self, hold: "Hold") -> asyncio.Task[None]:
        """The provider counts the call from now on."""


@dataclass(slots=True, eq=False)
class Hold:
    """A Reservation. `since` is when it was asked for, `sent_at` when the request was out."""

    settler: Settler
    request: Request
    held: Held
    since: datetime
    trial: Trial | None = None
    sent_at: datetime | None = None
    renewal: asyncio.Task[None] | None = field(default=None, init=False)
    is_settled: bool = False

    def sent(self) -> None:
        """The whole request is on its way."""
        self.sent_at = self.settler.now()
        if self.trial is not None:
            self.settler.tried(self.trial)

    def arrived(self) -> None:
        """The provider has it; sent late, it counts from now on."""
        is_late = self.sent_at is not None and self.sent_at - self.since > _LATE
        if is_late and self.renewal is None and not self.is_settled:
            self.renewal = self.settler.renewed(self)

    async def commit(self, used: Amounts) -> None:
        """Replace the estimate by what was used; written beside whoever has the answer already."""
        self._settle(used)

    async def release(self) -> None:
        """Give all of it back."""
        task = self._settle(None)
        if task is not None:
            # A caller that is cancelled a second time must not leave the room held
            await asyncio.shield(task)

    def _settle(self, used: Amounts | None) -> asyncio.Task[None] | None:
        if self.is_settled:
            return None
        self.is_settled = True
        return self.settler.settled(self, used)
