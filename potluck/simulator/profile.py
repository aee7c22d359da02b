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
ErrorShape = Literal["openai", "numeric", "flat", "string"]

_FOLDER = Path(__file__).parent / "providers"
_ALIASES = {"groq_llama": "groq", "together_ai": "together", "gemini": "google_gemini"}
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTemplate:
    """An error as the provider sends it; `{names}` in its strings are facts of the moment."""

    __pydantic_config__ = _STRICT

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One provider. It lists `models`, and answers for any other name too.

    `reasoning_field` is where its messages carry thinking (None: never shown); `error_shape` is
    how its refusals look: OpenAI's, the same with the status as code, flat, or a bare string.
    """

    __pydantic_config__ = _STRICT

    id: str
    dialect: DialectName = "openai"
    models: tuple[str, ...] = ("simulated-model",)
    key_needed: bool = True
    reasoning_field: str | None = "reasoning_content"
    whole_tool_calls: bool = False
    usage_always: bool = False
    usage_in_groq_field: bool = False
    keep_alive_comment: str | None = None
    error_shape: ErrorShape = "openai"
    tool_call_id_form: Literal["call", "nine"] = "call"
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
