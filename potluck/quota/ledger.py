"""The ledger's promises: room in all windows of a call or in none, exact over processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from potluck.quota.windows import Amounts, Use, Window


@dataclass(frozen=True, slots=True)
class Claim:
    """What one call asks for. All windows of one claim belong to `account`."""

    account: str
    windows: tuple[Window, ...]
    amounts: Amounts


@dataclass(frozen=True, slots=True)
class Held:
    """Room that is held for a call until it is settled; `uses` are its windows just after."""

    id: str
    claim: Claim
    uses: tuple[Use, ...]


class WindowFullError(Exception):
    """A claim was refused. `until` is when the window has room for it; None: it never has."""

    def __init__(self, window: Window, until: datetime | None, uses: tuple[Use, ...]) -> None:
        super().__init__(f"{window.id} is full until {until}")
        self.window = window
        self.until = until
        self.uses = uses


class Ledger(Protocol):
    """Keeps the use of all windows."""

    async def reserve(self, claim: Claim) -> Held:
        """Take the claim's amounts from all its windows at once.

        Raises WindowFullError, with nothing taken, for the window that has room last.
        """

    async def settle(self, held: Held, used: Amounts | None) -> None:
        """Replace what is held by what was used; None gives all of it back. Twice is harmless."""

    async def renew(self, held: Held) -> None:
        """What is held counts from now on: the provider has come to know of the call just now."""

    async def retain(self, held: Held, for_s: float) -> None:
        """What is held counts for so many seconds from now, at most to its window's end.

        Nobody has to give it back then, and this process may end before. What has no end of its
        own, a call under way or a level, is given back now.
        """

    async def note_use(self, account: str, window: Window, at_least: float) -> None:
        """The provider says that so much of the window is used: count what we did not know of."""

    async def uses(self, windows: Sequence[Window]) -> list[Use]:
        """How much of each window is used now."""

    async def aclose(self) -> None:
        """Give back what this process still holds, and let go of every resource."""
