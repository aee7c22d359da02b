"""What config/providers.yaml may say: the form it is checked against."""

import re
from datetime import date
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from potluck.providers.catalog import Api, Capability, DataPolicy, TaskType
from potluck.quota.limits import REFILL, ROLLING
from potluck.yaml_form import Form

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def as_list(value: object) -> object:
    """A list of what may have been written without the brackets."""
    return [] if value is None else value if isinstance(value, list) else [value]


def as_mapping(value: object) -> object:
    """A mapping that may have been left empty."""
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


def _reset(name: str) -> str:
    """Check that it is a way of resetting, or a time zone that this machine knows."""
    if name in {ROLLING, REFILL}:
        return name
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("there is no such time zone") from error
    return name


Text = Annotated[str, Field(min_length=1, description="some text")]
OptionalText = Annotated[str | None, Field(min_length=1, description="some text")]
Count = Annotated[int | None, Field(gt=0, description="a whole number above 0, such as 30")]
Credits = Annotated[float | None, Field(gt=0, description="a number above 0, such as 10000")]
Reset = Annotated[
    str,
    AfterValidator(_reset),
    Field(description="rolling, refill, or a time zone such as UTC or America/Los_Angeles"),
]
Address = Annotated[
    str | None,
    AfterValidator(lambda url: _web_address(url) if url is not None else None),
    Field(description="an address such as https://api.example.com/v1"),
]
KeyNames = Annotated[
    list[Annotated[str, AfterValidator(_key_name)]],
    BeforeValidator(as_list),
    Field(description="the name of a variable in .env such as GROQ_API_KEY, or a list of such"),
]
Temperature = Annotated[float | None, Field(ge=0, le=2, description="a number from 0 to 2")]
Switch = Annotated[bool, Field(description="true or false")]
Names = Annotated[
    list[str], BeforeValidator(as_list), Field(description="a list such as [groq, ollama]")
]
CheckedOn = Annotated[date | None, Field(strict=False, description="a date such as 2026-11-21")]


class LimitsForm(Form):
    """Limits that somebody states."""

    requests_per_minute: Count = None
    requests_per_hour: Count = None
    requests_per_day: Count = None
    requests_per_month: Count = None
    tokens_per_minute: Count = None
    tokens_per_hour: Count = None
    tokens_per_day: Count = None
    tokens_per_month: Count = None
    input_tokens_per_minute: Count = None
    input_tokens_per_hour: Count = None
    input_tokens_per_day: Count = None
    input_tokens_per_month: Count = None
    output_tokens_per_minute: Count = None
    output_tokens_per_hour: Count = None
    output_tokens_per_day: Count = None
    output_tokens_per_month: Count = None
    credits_per_day: Credits = None
    credits_per_month: Credits = None
    concurrent_requests: Count = None


LimitsField = Annotated[
    LimitsForm,
    BeforeValidator(as_mapping),
    Field(description="a mapping such as {requests_per_minute: 30, requests_per_day: 1000}"),
]


Dollars = Annotated[
    float, Field(ge=0, le=10_000, description="USD for a million tokens, such as 0.15")
]


class PriceForm(Form):
    """The list price of a model, in USD per million tokens."""

    input: Dollars
    output: Dollars
    checked_on: CheckedOn = None
    source: OptionalText = None


class CreditsForm(Form):
    """What a model takes of the account's credits for a million tokens."""

    input: Annotated[float, Field(ge=0, description="credits for a million tokens")]
    output: Annotated[float, Field(ge=0, description="credits for a million tokens")]


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
    credits: Annotated[
        CreditsForm | None, Field(description="a mapping such as {input: 31818, output: 68182}")
    ] = None
    replacement: OptionalText = None
    price: Annotated[
        PriceForm | None, Field(description="a mapping such as {input: 0.15, output: 0.6}")
    ] = None
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
    minute_resets: Annotated[
        Literal["rolling", "refill"], Field(description="rolling or refill")
    ] = "rolling"
    day_resets: Reset = "rolling"
    month_resets: Reset = "UTC"
    keys_share_limits: Switch = False
    reserves_output: Count = None
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


RoutesField = Annotated[
    RoutesForm,
    BeforeValidator(as_mapping),
    Field(description="a mapping such as {general: [groq, ollama]}"),
]
ProvidersField = Annotated[
    dict[str, Annotated[ProviderForm, BeforeValidator(as_mapping)]],
    BeforeValidator(as_mapping),
    Field(description="a mapping of a name of your choice to each provider's settings"),
]


class ProvidersFile(Form):
    """config/providers.yaml."""

    providers: ProvidersField
    routes: RoutesField = RoutesForm()
