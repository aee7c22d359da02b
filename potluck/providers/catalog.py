"""The catalog: which providers and models there are, what each can do, and what is on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from pydantic import SecretStr

from potluck.quota.calls import Price
from potluck.quota.limits import Limits, Resets
from potluck.quota.windows import Priority

Api = Literal["gemini", "groq", "together", "huggingface", "ollama", "openai", "offline"]
Capability = Literal["tools", "json", "vision"]
TaskType = Literal["code_generation", "complex_reasoning", "simple_task", "general"]
DataPolicy = Literal["yes", "no", "unknown"]
Privacy = Literal["private", "any"]

OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class CreditRate:
    """What a model takes of its account's credits for a million tokens."""

    input: float
    output: float

    def of(self, input_tokens: float, output_tokens: float) -> float:
        """The credits that so many tokens take."""
        return (self.input * input_tokens + self.output * output_tokens) / 1_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider; sizes in tokens.

    `max_output` and `temperature` are sent with each call that does not set its own. `price` is
    the provider's list price, whether or not the tier in use costs anything. `set_by_user` names
    the limits that limits.yaml set.
    """

    provider: str
    id: str
    context: int | None = None
    max_output: int | None = None
    temperature: float | None = None
    capabilities: frozenset[Capability] = frozenset({"tools", "json"})
    limits: Limits = field(default_factory=Limits)
    set_by_user: frozenset[str] = frozenset()
    credits: CreditRate | None = None
    replacement: str | None = None
    price: Price | None = None
    checked_on: date | None = None
    source: str | None = None

    @property
    def ref(self) -> str:
        """`provider/model-id`, the name by which users and logs call it."""
        return f"{self.provider}/{self.id}"


@dataclass(frozen=True, slots=True)
class Provider:
    """One account at one service: where it is, how to sign in, what it serves.

    `limits` hold for all models of one key together (with `keys_share_limits`: of all keys); each
    model's own are never wider. `stop_at` is the share of each limit that is used at most.
    With `reserves_output` it counts the longest answer that a call allows, however short it is;
    that many tokens when the call does not say.
    `base_url` may hold `${NAME}`, filled from the settings when the provider's status is asked.
    """

    id: str
    api: Api
    base_url: str | None
    api_key_env: tuple[str, ...]
    models: tuple[Model, ...]
    trains_on_prompts: DataPolicy = "unknown"
    paid: bool = False
    enabled: bool = True
    by_name_only: bool = False
    get_key_url: str | None = None
    limits: Limits = field(default_factory=Limits)
    set_by_user: frozenset[str] = frozenset()
    resets: Resets = field(default_factory=Resets)
    keys_share_limits: bool = False
    reserves_output: int | None = None
    stop_at: float = 1.0


@dataclass(frozen=True, slots=True)
class Fallback:
    """limits.yaml `fallback`: tries and time per call over the whole chain, and who comes last.

    `max_retries` are further tries of the whole chain when it failed in a way that may pass. With
    `hedge_after_seconds` the next model is asked too when the first is silent for so long.
    """

    max_retries: int = 3
    retry_delay_seconds: float = 5.0
    emergency_provider: str | None = None
    timeout_seconds: float = 180.0
    hedge_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Optimization:
    """limits.yaml `optimization`: cache and batching."""

    enable_caching: bool = True
    cache_ttl_hours: float = 24.0
    cache_max_megabytes: float = 64.0
    batch_processing: bool = True
    max_batch_size: int = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """limits.yaml `waiting`: how long a call waits for a model that is out, by its priority."""

    interactive_seconds: float = 2.0
    background_seconds: float = 60.0

    def patience_s(self, priority: Priority) -> float:
        """For how long a call of this priority waits."""
        return self.interactive_seconds if priority == "interactive" else self.background_seconds


@dataclass(frozen=True, slots=True)
class Parking:
    """limits.yaml `parking`: how long an open request waits for a run that is parked."""

    wait_limit_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class UsageHistory:
    """limits.yaml `usage`: how long single calls are kept; their daily sums outlive them."""

    keep_days: int = 90
    keep_sums_days: int = 1095


@dataclass(frozen=True, slots=True)
class Retention:
    """limits.yaml `retention`: how long, and how much, is kept of what runs leave behind."""

    thread_days: int = 365
    threads_megabytes: float = 10_240.0
    checkpoint_days: int = 180
    checkpoints_per_thread: int = 200
    run_days: int = 90
    runs_megabytes: float = 2048.0
    responses_days: int = 30
    responses_megabytes: float = 1024.0
    usage_megabytes: float = 1024.0
    workspace_days: int = 365
    workspaces_megabytes: float = 20_480.0
    parked_days: int = 30
    parked_runs: int = 10_000
    log_megabytes: float = 64.0


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that config/providers.yaml and config/limits.yaml say, checked."""

    providers: Mapping[str, Provider]
    routes: Mapping[TaskType, tuple[str, ...]]
    fallback: Fallback = field(default_factory=Fallback)
    optimization: Optimization = field(default_factory=Optimization)
    privacy: Privacy = "any"
    waiting: Waiting = field(default_factory=Waiting)
    reserve_for_interactive: float = 0.2
    parking: Parking = field(default_factory=Parking)
    usage: UsageHistory = field(default_factory=UsageHistory)
    retention: Retention = field(default_factory=Retention)

    def models(self) -> list[Model]:
        """All models, in the catalog's order."""
        return [model for provider in self.providers.values() for model in provider.models]

    def prices(self) -> dict[str, Price]:
        """The list prices that are known, by `provider/model-id`."""
        return {model.ref: model.price for model in self.models() if model.price is not None}

    def find(self, ref: str) -> Model | None:
        """The model called `provider/model-id`, or None."""
        return next((model for model in self.models() if model.ref == ref), None)


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """Whether a provider is used in this process, and why not if it is not."""

    provider: Provider
    on: bool
    reason: str
    keys: tuple[SecretStr, ...] = ()
    base_url: str | None = None
