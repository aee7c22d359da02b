"""What a caller of the LangServe door may set in `config.configurable`, and who the caller is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from langchain_core.runnables import ConfigurableFieldSpec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from nodes.budget import (
    DEFAULT_MAX_CALLS,
    DEFAULT_MAX_SECONDS,
    DEFAULT_MAX_TOKENS,
    DEFAULT_MAX_TOOL_CALLS,
    HIGHEST_MAX_CALLS,
)
from potluck.cache.responses import CacheMode
from potluck.providers.catalog import TaskType
from potluck.quota.windows import Priority

# LangChain shows no names that begin so to anybody.
ASKER_KEY = "__potluck_asker"

ThreadName = Annotated[str, Field(max_length=255)]
ModelRef = Annotated[
    str,
    Field(
        description="provider/model-id to be asked first; blank: the best for the task. "
        "GET /v1/models lists them."
    ),
]
PrivacyChoice = Annotated[
    Literal["any", "private"],
    Field(description="private: only providers that do not train on prompts."),
]
PriorityChoice = Annotated[
    Literal["auto", "interactive", "background", "batch"],
    Field(
        description="Who goes first when quota is scarce; auto: interactive, but batch for the "
        "turns of a batch."
    ),
]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and in which way: told by the request and its headers, not by its config."""

    tenant: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Whether the agent uses long-term notes, as the run's context says it."""
    cache: CacheMode = "use"
    in_batch: bool = False

    @classmethod
    def of(cls, configurable: Mapping[str, object]) -> Self:
        """The asker that the door has put there; nobody in particular where it has not."""
        found = configurable.get(ASKER_KEY)
        return found if isinstance(found, cls) else cls()


class CallerConfig(BaseModel):
    """What is set; blank is as good as not set.

    Nothing may be null: the playground's form cannot draw such a field.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    thread_id: ThreadName = ""
    model: ModelRef = ""
    privacy: PrivacyChoice = "any"
    priority: PriorityChoice = "auto"

    @classmethod
    def of(cls, configurable: Mapping[str, object]) -> Self:
        """Read LangChain's `configurable`; raises ValidationError."""
        return cls.model_validate(configurable)

    @classmethod
    def specs(cls) -> list[ConfigurableFieldSpec]:
        """The fields as LangChain declares them."""
        return [
            ConfigurableFieldSpec(
                id=name,
                annotation=_annotation(field),
                description=field.description,
                default=field.default,
            )
            for name, field in cls.model_fields.items()
        ]

    def priority_for(self, asker: Asker) -> Priority:
        """Who goes first when quota is scarce."""
        if self.priority != "auto":
            return self.priority
        return "batch" if asker.in_batch else "interactive"


def _annotation(field: FieldInfo) -> object:
    """The field's type with its bounds, so that the schema tells them."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


class AgentConfig(CallerConfig):
    """What may be set for the agent."""

    thread_id: Annotated[
        ThreadName,
        Field(description="Thread to remember the conversation on; blank: nothing is kept."),
    ] = ""
    instructions: Annotated[
        str, Field(description="System prompt of yours, added to the agent's own.")
    ] = ""
    max_calls: Annotated[
        int,
        Field(
            ge=1, le=HIGHEST_MAX_CALLS, description="Model calls that one turn may make at most."
        ),
    ] = DEFAULT_MAX_CALLS
    max_tokens: Annotated[
        int,
        Field(
            ge=500, le=10_000_000, description="Tokens that one turn may use, sent and answered."
        ),
    ] = DEFAULT_MAX_TOKENS
    max_seconds: Annotated[
        float,
        Field(ge=1, le=86_400, description="How long one turn may work; waiting is not work."),
    ] = DEFAULT_MAX_SECONDS
    max_tool_calls: Annotated[
        int, Field(ge=0, le=1_000, description="Tool calls that one turn may make at most.")
    ] = DEFAULT_MAX_TOOL_CALLS

    def context(self, asker: Asker) -> dict[str, object]:
        """The run's context: what was set, and not to the default."""
        told = self.model_dump(exclude={"thread_id", "priority"}, exclude_defaults=True)
        priority = self.priority_for(asker)
        return {
            **told,
            **({"priority": priority} if priority != "interactive" else {}),
            **({"cache": asker.cache} if asker.cache != "use" else {}),
            **asker.notes,
        }


class ChainConfig(CallerConfig):
    """What may be set for the chain of models."""

    thread_id: Annotated[
        ThreadName,
        Field(description="Calls of one thread go to one model, while it makes no difference."),
    ] = ""
    task_type: Annotated[
        TaskType, Field(description="Which route of config/limits.yaml the models are taken from.")
    ] = "general"
