"""The catalog: which providers and models there are, what each can do, and what is on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from pydantic import SecretStr

Api = Literal["gemini", "groq", "together", "huggingface", "ollama", "openai", "offline"]
Capability = Literal["tools", "json", "vision"]
TaskType = Literal["code_generation", "complex_reasoning", "simple_task", "general"]
DataPolicy = Literal["yes", "no", "unknown"]
Privacy = Literal["private", "any"]

OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Limits:
    """A model's stated limits; None means that nobody states one."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    requests_per_month: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider; sizes in tokens.

    `max_output` and `temperature` are sent with each call that does not set its own.
    """

    provider: str
    id: str
    context: int | None = None
    max_output: int | None = None
    temperature: float | None = None
    capabilities: frozenset[Capability] = frozenset({"tools", "json"})
    limits: Limits = field(default_factory=Limits)
    replacement: str | None = None
    checked_on: date | None = None
    source: str | None = None

    @property
    def ref(self) -> str:
        """`provider/model-id`, the name by which users and logs call it."""
        return f"{self.provider}/{self.id}"


@dataclass(frozen=True, slots=True)
class Provider:
    """One account at one service: where it is, how to sign in, what it serves.

    `limits` hold for all models of one key together; each model's own are never wider.
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


@dataclass(frozen=True, slots=True)
class Fallback:
    """limits.yaml `fallback`: tries and time per call over the whole chain, and who comes last.

    With `hedge_after_seconds` the next model is asked too when the first is silent for so long.
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
    batch_processing: bool = True
    max_batch_size: int = 3


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that config/providers.yaml and config/limits.yaml say, checked."""

    providers: Mapping[str, Provider]
    routes: Mapping[TaskType, tuple[str, ...]]
    fallback: Fallback = field(default_factory=Fallback)
    optimization: Optimization = field(default_factory=Optimization)
    privacy: Privacy = "any"

    def models(self) -> list[Model]:
        """All models, in the catalog's order."""
        return [model for provider in self.providers.values() for model in provider.models]

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
