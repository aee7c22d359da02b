"""The quota report on the wire: what `GET /quota` and `potluck usage --json` say."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict

from potluck.quota.optimizer import Status
from potluck.quota.windows import Period, Priority, Unit


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class WindowReport(_Form):
    """One limit, in one unit, over one period."""

    id: str
    """Stable; windows with the same id are the same window."""
    unit: Unit
    period: Period
    account_wide: bool
    """All models of the account share it."""
    limit: float | None
    """What may be used; null: no limit is known, use is only counted."""
    stated: float | None
    """What the provider gives in all, of which policy may keep a part."""
    used: float
    """With what calls under way hold."""
    left: float | None
    share: float | None
    """Used part of the limit, from 0; over 1 when more was used than allowed."""
    reset: str
    """How use ends: `rolling`, `refill`, or the time zone in which the period ends."""
    free_at: datetime | None
    """When some of it comes back."""
    resets_at: datetime | None
    """When all of it is back if nothing more is used."""
    source: str
    """Where the limit is from: the catalog, limits.yaml, or the header or error that told."""


class AdviceReport(_Form):
    """The optimiser's advice."""

    status: Status
    window: str | None
    """Id of the window that says so."""
    used_share: float | None
    exhausted_at: datetime | None
    """When it is used up if it goes on like this; null: quota comes back before."""
    resets_at: datetime | None


class OutageReport(_Form):
    """What stands against a model, apart from its windows."""

    kind: str
    reason: str
    until: datetime | None
    """Null: not known, or for good."""
    certain: bool
    """False: it is still asked, after the others."""


class ModelReport(_Form):
    """One model on one account."""

    id: str
    key_id: str
    """Fingerprint of the key; empty where there is none."""
    available: bool
    """It can be asked now."""
    back_at: datetime | None
    """When it can be asked again, if it cannot now and that is known."""
    windows: tuple[WindowReport, ...]
    advice: AdviceReport
    outage: OutageReport | None


class ProviderReport(_Form):
    """One provider; `models` is empty while it is off."""

    id: str
    on: bool
    reason: str
    """Why it is on or off."""
    paid: bool
    models: tuple[ModelReport, ...]
    key_url: str | None = None
    """The page where its key is to be had."""


class Totals(_Form):
    """What calls come to."""

    sent: int
    """Calls that went to a provider: answered, failed and cancelled."""
    answered: int
    failed: int
    cancelled: int
    refused: int
    """Held back by our own limits; nothing was sent."""
    cached: int
    """Answered from the cache; nothing was sent."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    """What the answers from the cache would have taken, in and out."""
    batches: int
    """Calls that answered several steps of a plan."""
    batched_steps: int
    """The steps that they answered."""
    saved_usd: float
    """What free tiers and the cache would have cost at list price."""
    spent_usd: float
    """Calls to paid providers at list price."""
    unpriced: int
    """Answers that are in neither, because no price is known."""
    mean_duration_s: float | None


class ModelDay(_Form):
    """One model's part of a day, or of some hours."""

    provider: str
    model: str
    totals: Totals


class DayReport(_Form):
    """One day, by UTC."""

    day: date
    totals: Totals
    models: tuple[ModelDay, ...]


class ParkedReport(_Form):
    """A run that waits for quota and goes on by itself."""

    thread_id: str
    run_id: str
    resume_at: datetime
    since: datetime
    reason: str
    waiting_for: tuple[str, ...]
    """The models that are out, the one that is back first in front."""
    priority: Priority
    times: int
    """How often the same step has been put off."""


class QuotaReport(_Form):
    """Quota left, use, and what waits, at one moment."""

    at: datetime
    calls_of: str | None = None
    """The user whose calls `today` and `days` sum up; null: everybody's."""
    providers: tuple[ProviderReport, ...]
    today: Totals | None
    """By UTC; null when the history cannot be read."""
    days: tuple[DayReport, ...]
    """Oldest first, today last."""
    parked: tuple[ParkedReport, ...]
    missing: tuple[str, ...]
    """What could not be told, and why."""

    @property
    def is_out(self) -> bool:
        """Some provider is on, and none of their models can be asked now.

        Paid ones do not count beside free ones: they are asked only by name then.
        """
        on = [provider for provider in self.providers if provider.models]
        asked = [provider for provider in on if not provider.paid] or on
        models = [model for provider in asked for model in provider.models]
        return bool(models) and not any(model.available for model in models)
