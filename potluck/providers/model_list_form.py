"""The forms in which providers list their models; what is not understood is left out.

OpenAI's form (`data`, entries with `id`) with the additions of Groq, Mistral, OpenRouter, Together
(a bare list) and Hugging Face; Cohere's and Ollama's `models` with `name`; Gemini's `models/name`;
Cloudflare's `result`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, model_validator

from potluck.providers.catalog import Capability

_CHAT_TYPES = frozenset({"chat", "language", "code", "text generation"})
_OTHER_TYPES = frozenset(
    {"audio", "embedding", "image", "moderation", "rerank", "transcribe", "video"}
)
_CHAT_METHODS = frozenset({"chat", "generateContent"})
# Lists that say nothing of what a model is for give it away in the name
_OTHER_WORDS = frozenset(
    {"aqa", "audio", "babbage", "bge", "dall", "davinci", "diffusion", "embed", "embedding"}
    | {"flux", "guard", "image", "imagen", "live", "lyria", "minilm", "moderation", "ocr"}
    | {"realtime", "rerank", "safeguard", "sora", "speech", "transcribe", "tts", "veo", "whisper"}
)


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


Count = Annotated[int | None, BeforeValidator(_count)]
Texts = Annotated[list[str], BeforeValidator(_texts)]
OptionalText = Annotated[str | None, BeforeValidator(_text)]
Facts = Annotated[Mapping[str, object], BeforeValidator(_mapping)]
ListOfFacts = Annotated[list[Mapping[str, object]], BeforeValidator(_mappings)]


class ListedModel(BaseModel):
    """One entry of a list; only its name has to be there."""

    raw_name: str = Field(min_length=1)
    aliases: Texts = []
    context: Count = Field(
        None,
        validation_alias=AliasChoices(
            *("context_window", "context_length", "max_context_length", "max_model_len"),
            "inputTokenLimit",
        ),
    )
    type: OptionalText = None
    task: Facts = {}
    methods: Texts = Field(
        [], validation_alias=AliasChoices("supportedGenerationMethods", "endpoints")
    )
    parameters: Texts = Field([], validation_alias="supported_parameters")
    abilities: Facts = Field({}, validation_alias="capabilities")
    architecture: Facts = {}
    pricing: Facts = {}
    properties: ListOfFacts = []
    providers: ListOfFacts = []
    replacement: OptionalText = Field(None, validation_alias="deprecation_replacement_model")
    active: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, entry: Any) -> Any:  # Any: whatever the provider sent
        """The name: `name` where `id` is none by which a model is asked for."""
        if not isinstance(entry, dict):
            return entry
        name = entry.get("id")
        if "task" in entry or not isinstance(name, str):
            name = entry.get("name")
        return {**entry, "raw_name": name}

    @property
    def name(self) -> str:
        """What a call names it."""
        return self.raw_name.removeprefix("models/")

    @property
    def chats(self) -> bool | None:
        """Whether it takes part in conversations; None when nothing tells."""
        task = self.task.get("name")
        if isinstance(task, str):
            return task.lower() in _CHAT_TYPES
        if (self.type or "").lower() in _CHAT_TYPES:
            return True
        words = frozenset(re.split(r"[^a-z]+", self.name.lower()))
        if (self.type or "").lower() in _OTHER_TYPES or words & _OTHER_WORDS:
            return False
        if self.methods:
            return bool(_CHAT_METHODS & set(self.methods))
        said = self.abilities.get("completion_chat")
        return said if isinstance(said, bool) else None

    @property
    def free(self) -> bool | None:
        """Whether its stated prices are all zero; None when none is stated in a known form."""
        prices = [self.pricing.get(name) for name in ("prompt", "completion")]
        if any(price is None for price in prices):
            return None
        return all(str(price) in {"0", "0.0"} for price in prices)

    @property
    def capabilities(self) -> frozenset[Capability] | None:
        """What it can do, if the entry tells."""
        if self.parameters:
            sees = "image" in _texts(self.architecture.get("input_modalities"))
            return _capabilities(
                tools="tools" in self.parameters,
                json="response_format" in self.parameters,
                vision=sees,
            )
        if "function_calling" in self.abilities:
            tools = self.abilities["function_calling"] is True
            return _capabilities(
                tools=tools, json=True, vision=self.abilities.get("vision") is True
            )
        return None

    @property
    def is_served(self) -> bool:
        """Not one that is listed as switched off."""
        return self.active is not False


class Page(BaseModel):
    """One answer to the question for the list."""

    models: list[ListedModel]
    next_page: OptionalText = None

    @model_validator(mode="before")
    @classmethod
    def _shaped(cls, body: Any) -> Any:  # Any: whatever the provider sent
        """The list, wherever this provider keeps it."""
        if isinstance(body, list):
            return {"models": body}
        if not isinstance(body, dict):
            return body
        found = next((body[key] for key in ("data", "models", "result") if key in body), None)
        following = body.get("nextPageToken") or body.get("next_page_token")
        return {"models": found, "next_page": following}


def _capabilities(*, tools: bool, json: bool, vision: bool) -> frozenset[Capability]:
    has: dict[Capability, bool] = {"tools": tools, "json": json, "vision": vision}
    return frozenset(name for name, there in has.items() if there)
