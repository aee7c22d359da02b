"""Who can be asked: outages, which pass, and tombstones, which stay."""

from collections.abc import Callable
from datetime import UTC, datetime

from potluck.errors import ProviderError
from potluck.providers.outages import Outage, Outages
from potluck.providers.succession import Succession

_FOREVER = datetime.max.replace(tzinfo=UTC)


class Attendance(Outages):
    """The outages of a chain, which takes a model that is gone for one whose outage never ends."""

    def __init__(self, clock: Callable[[], datetime], succession: Succession) -> None:
        super().__init__(clock)
        self._succession = succession

    def find(self, provider: str, model: str, *, account: int) -> Outage | None:
        """What keeps this model from answering: its tombstone, else the longest outage."""
        tombstone = self._succession.find(provider, model)
        if tombstone is not None:
            return Outage(tombstone.error(), _FOREVER, certain=True)
        return super().find(provider, model, account=account)

    def note(self, error: ProviderError, *, account: int, by: object = None) -> None:
        """A call failed: put up a tombstone if that says that the model is gone."""
        if self._succession.bury(error, account=account):
            self.leave(error.provider, error.model, account=account, by=by)
        else:
            super().note(error, account=account, by=by)
