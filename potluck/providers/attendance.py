"""Who can be asked: outages, which pass, and tombstones, which stay."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from potluck.errors import ProviderError
from potluck.providers.outage_rows import OutageRow, Spot
from potluck.providers.outages import Outage, Outages, Place
from potluck.providers.shared_outages import SharedOutages
from potluck.providers.succession import Succession

_FOREVER = datetime.max.replace(tzinfo=UTC)


class Attendance(Outages):
    """The outages of a chain, which takes a model that is gone for one whose outage never ends.

    What other replicas have met counts as its own. `keys` are the ids of each provider's keys, in
    the order of their accounts.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        succession: Succession,
        shared: SharedOutages | None = None,
        keys: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(clock)
        self._succession = succession
        self._shared = shared or SharedOutages(clock=clock)
        self._keys = keys or {}
        self._taken: dict[Place, datetime] = {}
        self._shared.on_change = self._take_over
        self._take_over()

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

    def _began(self, place: Place, outage: Outage, *, is_guess: bool) -> None:
        spot = self._spot(place)
        if spot is not None:
            self._shared.tell(outage, spot, is_guess=is_guess)

    def _ended(self, place: Place) -> None:
        spot = self._spot(place)
        if spot is not None:
            self._shared.end(spot)

    def _take_over(self) -> None:
        """Hold what others have met, and let go what they found to be over."""
        standing = {place: row for row in self._shared.rows() if (place := self._place(row))}
        now = self._clock()
        for place, noted_at in self._taken.items():
            row = standing.get(place)
            if row is None or row.until <= now:
                self._drop(place, noted_at)
        for place, row in standing.items():
            self._take(place, Outage(row.error(), row.until, certain=True), row.noted_at)
        self._taken = {place: row.noted_at for place, row in standing.items()}

    def _spot(self, place: Place) -> Spot | None:
        provider, model, account = place
        if account is None:
            return (provider, model or "", "")
        # Of an account without a key nobody knows whether another replica's is the same
        key_id = dict(enumerate(self._keys.get(provider, ()))).get(account)
        return (provider, model or "", key_id) if key_id else None

    def _place(self, row: OutageRow) -> Place | None:
        if not row.key_id:
            return (row.provider, None, None)
        keys = self._keys.get(row.provider, ())
        if row.key_id not in keys:
            return None
        return (row.provider, row.model or None, keys.index(row.key_id))
