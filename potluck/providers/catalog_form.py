"""What config/providers.yaml and config/limits.yaml may say: the forms they are checked against."""

import re
from datetime import date
from typing import Annotated, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from potluck.providers.catalog import Api, Capability, DataPolicy, Privacy, TaskType
from potluck.providers.form import Form

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _as_list(value: object) -> object:
    return [] if value is None else value if isinstance(value, list) else [value]


def _as_mapping(value: object) -> object:
    return {} if value is None else value


def _as_model(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


def _as_policy(value: object) -> object:
    # bare yes and no are booleans to a YAML 1.1 reader, and `true` is what some people write
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _key_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("it is not a variable's name (a key itself belongs in .env)")
    if len(name) >= 30 and name != name.upper():
        raise ValueError("it looks like a key itself, which belongs in .env")
    return name


def _web_address(url: str) -> str:
    """Check the address as it will be once its placeholders are filled."""
    parts = urlsplit(PLACEHOLDER.sub("x", url))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it is not an http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it holds a user or password, which belongs in .env")
    if parts.query or parts.fragment or re.search(r"[\s${}]", PLACEHOLDER.sub("x", url)):
        raise ValueError("an address ends with its path and holds no blanks")
    _ = parts.port  # raises ValueError that says what is wrong with it
    return url


Text = Annotated[str, Field(min_length=1, description="some text")]
OptionalText = Annotated[str | None, Field(min_length=1, description="some text")]
Count = Annotated[int | None, Field(gt=0, description="a whole number above 0, such as 30")]
Address = Annotated[
    str | None,
    AfterValidator(lambda url: _web_address(url) if url is not None else None),
    Field(description="an address such as https://api.example.com/v1"),
]
KeyNames = Annotated[
    list[Annotated[str, AfterValidator(_key_name)]],
    BeforeValidator(_as_list),
    Field(description="the name of a variable in .env such as GROQ_API_KEY, or a list of such"),
]
Temperature = Annotated[float | None, Field(ge=0, le=2, description="a number from 0 to 2")]
Switch = Annotated[bool, Field(description="true or false")]
Names = Annotated[
    list[str], BeforeValidator(_as_list), Field(description="a list such as [groq, ollama]")
]
CheckedOn = Annotated[date | None, Field(strict=False, description="a date such as 2026-11-21")]


class LimitsForm(Form):
    """Limits that somebody states."""

    requests_per_minute: Count = None
    requests_per_day: Count = None
    requests_per_month: Count = None
    tokens_per_minute: Count = None
    tokens_per_day: Count = None


LimitsField = Annotated[
    LimitsForm,
    BeforeValidator(_as_mapping),
    Field(description="a mapping such as {requests_per_minute: 30, requests_per_day: 1000}"),
]


class ModelForm(Form):
    """One model of a provider."""

    id: Text
    context: Count = None
    max_output: Count = None
    temperature: Temperature = None
    capabilities: Annotated[
        list[Capability] | None, Field(description="a list out of tools, json, vision")
    ] = None
    limits: LimitsField = LimitsForm()
    replacement: OptionalText = None
    checked_on: CheckedOn = None
    source: OptionalText = None


class ProviderForm(Form):
    """One provider: with `models`, or in short with one `model`."""

    api: Annotated[Api | None, Field(description=f"one of {', '.join(get_args(Api))}")] = None
    base_url: Address = None
    api_key_env: KeyNames = Field(default_factory=list)
    trains_on_prompts: Annotated[
        DataPolicy, BeforeValidator(_as_policy), Field(description="yes, no or unknown")
    ] = "unknown"
    paid: Switch = False
    enabled: Annotated[bool | None, Field(description="true or false")] = None
    get_key_url: Address = None
    limits: LimitsField = LimitsForm()
    checked_on: CheckedOn = None
    source: OptionalText = None
    model: OptionalText = None
    models: Annotated[
        list[Annotated[ModelForm, BeforeValidator(_as_model)]] | None,
        Field(description="a list of model names, or of mappings that each have an `id`"),
    ] = None
    max_tokens: Count = None
    temperature: Temperature = None

    @property
    def model_ids(self) -> list[str]:
        """The names of all its models, in order."""
        if self.models is not None:
            return [model.id for model in self.models]
        return [self.model] if self.model is not None else []


class RoutesForm(Form):
    """Who is asked first, for each type of task; empty: not said."""

    code_generation: Names = Field(default_factory=list)
    complex_reasoning: Names = Field(default_factory=list)
    simple_task: Names = Field(default_factory=list)
    general: Names = Field(default_factory=list)

    def named(self) -> list[tuple[TaskType, list[str]]]:
        """Each type of task with its list."""
        return [
            ("code_generation", self.code_generation),
            ("complex_reasoning", self.complex_reasoning),
            ("simple_task", self.simple_task),
            ("general", self.general),
        ]


ProvidersField = Annotated[
    dict[str, Annotated[ProviderForm, BeforeValidator(_as_mapping)]],
    BeforeValidator(_as_mapping),
    Field(description="a mapping of a name of your choice to each provider's settings"),
]


class ProvidersFile(Form):
    """config/providers.yaml."""

    providers: ProvidersField
    routes: Annotated[
        RoutesForm,
        BeforeValidator(_as_mapping),
        Field(description="a mapping such as {general: [groq, ollama]}"),
    ] = RoutesForm()


class OptimizationForm(Form):
    """Cache and batching."""

    enable_caching: Switch = True
    cache_ttl_hours: Annotated[float, Field(gt=0, description="hours above 0, such as 24")] = 24.0
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


class LimitsFile(Form):
    """config/limits.yaml."""

    rate_limits: Annotated[
        dict[str, LimitsField],
        BeforeValidator(_as_mapping),
        Field(description="a mapping such as {groq: {requests_per_minute: 30}}"),
    ] = Field(default_factory=dict)
    daily_limits: Annotated[
        dict[str, Annotated[int, Field(gt=0)]],
        BeforeValidator(_as_mapping),
        Field(
            description="a provider and a whole number above 0, such as `groq: 1000` "
            "(to use none of it: `enabled: false` in providers.yaml)"
        ),
    ] = Field(default_factory=dict)
    optimization: Annotated[OptimizationForm, BeforeValidator(_as_mapping)] = OptimizationForm()
    fallback: Annotated[FallbackForm, BeforeValidator(_as_mapping)] = FallbackForm()
    privacy: Annotated[Privacy, Field(description="private or any")] = "any"
