"""What sets one provider apart from the others: its facts, as read from `providers/<id>.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter
from ruamel.yaml import YAML

from potluck.simulator.reply import FaultKind

DialectName = Literal["openai", "gemini", "ollama"]
ErrorShape = Literal[
    "openai", "numeric", "flat", "bare", "string", "message", "title", "cloudflare"
]

Period = Literal["minute", "day", "utc_day", "pacific_day", "month"]
WindowName = Literal[
    "minute_requests", "minute_tokens", "day_requests", "day_tokens", "month", "credits"
]

_FOLDER = Path(__file__).parent / "providers"
_ALIASES = {"groq_llama": "groq", "together_ai": "together", "gemini": "google_gemini"}
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpec:
    """A limit over a period; with `refill` it comes back evenly, else all of it at the end."""

    __pydantic_config__ = _STRICT

    limit: int
    period: Period
    refill: bool = False
    unit: Literal["requests", "tokens"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """What a key may use, and in which headers the provider tells what is left.

    `scope` is what a window counts: each model, or all of the account. `models` changes limits by
    model. Tokens are input and output, or `input_only`; with `reserve_output` the most the answer
    may have is counted beforehand (that many when the request does not say). A request larger
    than all of `too_large_window` is told so. `concurrent` limits answers under way.
    """

    __pydantic_config__ = _STRICT

    scope: Literal["model", "account"] = "account"
    windows: Mapping[WindowName, WindowSpec] = field(default_factory=dict)
    models: Mapping[str, Mapping[WindowName, int]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    input_only: bool = False
    reserve_output: int | None = None
    concurrent: int | None = None
    too_large_window: WindowName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTemplate:
    """An error as the provider sends it; `{names}` in its strings are facts of the moment."""

    __pydantic_config__ = _STRICT

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySpec:
    """How strict a provider on the OpenAI wire is about the messages it gets back.

    `message_fields` are all that a message may have (None: anything); `tool_call_id` is `nine`
    for nine letters or digits; `max_id_length` limits it otherwise. With `strict_roles`, no user
    may speak right after a tool, and the last word must not be the assistant's. `text_only` takes
    no list of parts where the assistant or a tool speaks.
    """

    __pydantic_config__ = _STRICT

    message_fields: tuple[str, ...] | None = None
    field_complaint: str = "Unrecognized request argument supplied: {field}"
    field_status: int = 400
    tool_call_id: Literal["call", "nine"] = "call"
    max_id_length: int | None = None
    strict_roles: bool = False
    text_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One provider. It lists `models`, and answers for any other name too.

    `reasoning_field` is where its messages carry thinking (None: never shown); `error_shape` is
    """

    __pydantic_config__ = _STRICT

    id: str
    dialect: DialectName = "openai"
    models: tuple[str, ...] = ("simulated-model",)
    refused_models: tuple[str, ...] = ()
    retired_models: tuple[str, ...] = ()
    key_needed: bool = True
    reasoning_field: str | None = "reasoning_content"
    whole_tool_calls: bool = False
    checks_tool_calls: bool = False
    usage_always: bool = False
    usage_in_groq_field: bool = False
    keep_alive_comment: str | None = None
    error_shape: ErrorShape = "openai"
    history: HistorySpec = field(default_factory=HistorySpec)
    limits: LimitSpec = field(default_factory=LimitSpec)
    faults: Mapping[FaultKind, FaultTemplate] = field(default_factory=dict)


_ADAPTER = TypeAdapter(Profile)


def profile_of(provider: str) -> Profile:
    """The profile of a provider; a name nobody knows is a plain OpenAI-compatible endpoint."""
    return _known(_ALIASES.get(provider, provider)) or Profile(id=provider, key_needed=False)


def provider_ids() -> tuple[str, ...]:
    """All providers the simulator knows by name."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


@cache
def _known(provider: str) -> Profile | None:
    if provider not in provider_ids():
        return None
    path = _FOLDER / f"{provider}.yaml"
    facts: object = YAML(typ="safe", pure=True).load(path)
    return _ADAPTER.validate_python(facts)
