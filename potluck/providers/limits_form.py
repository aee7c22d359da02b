"""What config/limits.yaml may say: the form it is checked against."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from potluck.providers.catalog import Privacy
from potluck.providers.catalog_form import (
    LimitsField,
    OptionalText,
    RoutesField,
    RoutesForm,
    Switch,
    as_mapping,
)
from potluck.yaml_form import Form

# The name under which `stop_at` speaks of all providers
EVERYONE = "everyone"


def _as_shares(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {EVERYONE: value}
    return as_mapping(value)


Share = Annotated[float, Field(gt=0, le=1, description="a share above 0 and up to 1, such as 0.9")]
Seconds = Annotated[float, Field(ge=0, description="seconds from 0")]
Days = Annotated[int, Field(gt=0, le=36_500, description="days, a whole number above 0")]
Megabytes = Annotated[float, Field(gt=0, description="megabytes above 0, such as 1024")]
Most = Annotated[int, Field(gt=0, description="a whole number above 0, such as 200")]


class OptimizationForm(Form):
    """Cache and batching."""

    enable_caching: Switch = True
    cache_ttl_hours: Annotated[float, Field(gt=0, description="hours above 0, such as 24")] = 24.0
    cache_max_megabytes: Annotated[
        float, Field(gt=0, description="megabytes above 0, such as 64")
    ] = 64.0
    batch_processing: Switch = True
    max_batch_size: Annotated[int, Field(gt=0, description="a whole number above 0, such as 3")] = 3


class FallbackForm(Form):
    """Tries per call, and who comes last."""

    max_retries: Annotated[int, Field(ge=0, description="a whole number from 0")] = 3
    retry_delay_seconds: Annotated[float, Field(ge=0, description="seconds from 0")] = 5.0
    emergency_provider: OptionalText = None
    timeout_seconds: Annotated[float, Field(gt=0, description="seconds above 0, such as 180")] = (
        180.0
    )
    hedge_after_seconds: Annotated[
        float | None, Field(gt=0, description="seconds above 0, such as 8")
    ] = None


class WaitingForm(Form):
    """How long a call waits for a model that is out for a moment."""

    interactive_seconds: Seconds = 2.0
    background_seconds: Seconds = 60.0


class ParkingForm(Form):
    """How long an open request waits for a run that is parked."""

    wait_limit_seconds: Seconds = 60.0


class UsageForm(Form):
    """How long single calls are kept, and their daily sums."""

    keep_days: Annotated[int, Field(gt=0, description="a whole number above 0, such as 90")] = 90
    keep_sums_days: Days = 1095


class RetentionForm(Form):
    """How long, and how much, is kept of what runs leave behind."""

    thread_days: Days = 365
    threads_megabytes: Megabytes = 10_240.0
    checkpoint_days: Days = 180
    checkpoints_per_thread: Most = 200
    run_days: Days = 90
    runs_megabytes: Megabytes = 2048.0
    responses_days: Days = 30
    responses_megabytes: Megabytes = 1024.0
    usage_megabytes: Megabytes = 1024.0
    workspace_days: Days = 365
    workspaces_megabytes: Megabytes = 20_480.0
    parked_days: Days = 30
    parked_runs: Most = 10_000
    log_megabytes: Megabytes = 64.0


class LimitsFile(Form):
    """config/limits.yaml."""

    rate_limits: Annotated[
        dict[str, LimitsField],
        BeforeValidator(as_mapping),
        Field(description="a mapping such as {groq: {requests_per_minute: 30}}"),
    ] = Field(default_factory=dict)
    daily_limits: Annotated[
        dict[str, Annotated[int, Field(gt=0)]],
        BeforeValidator(as_mapping),
        Field(
            description="a provider and a whole number above 0, such as `groq: 1000` "
            "(to use none of it: `enabled: false` in providers.yaml)"
        ),
    ] = Field(default_factory=dict)
    optimization: Annotated[OptimizationForm, BeforeValidator(as_mapping)] = OptimizationForm()
    fallback: Annotated[FallbackForm, BeforeValidator(as_mapping)] = FallbackForm()
    privacy: Annotated[Privacy, Field(description="private or any")] = "any"
    stop_at: Annotated[
        dict[str, Share],
        BeforeValidator(_as_shares),
        Field(
            description="a share above 0 and up to 1, such as 0.9, or a mapping such as "
            "{openai: 0.8}"
        ),
    ] = Field(default_factory=dict)
    reserve_for_interactive: Annotated[
        float, Field(ge=0, lt=1, description="a share from 0 up to less than 1, such as 0.2")
    ] = 0.2
    waiting: Annotated[WaitingForm, BeforeValidator(as_mapping)] = WaitingForm()
    parking: Annotated[ParkingForm, BeforeValidator(as_mapping)] = ParkingForm()
    usage: Annotated[UsageForm, BeforeValidator(as_mapping)] = UsageForm()
    retention: Annotated[RetentionForm, BeforeValidator(as_mapping)] = RetentionForm()
    routes: RoutesField = RoutesForm()
