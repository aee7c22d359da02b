"""The four kinds of model id: who is meant, and what the list of models shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

from potluck.providers.chain import ChainModel
from potluck.server.openai.errors import ApiError

AGENT = "potluck"
AUTO = "auto"
OWNER = "potluck"
# 2026-11-21; OpenAI's shape wants a time, and no provider tells one for its models.
CREATED = 1_795_219_200


class ModelObject(TypedDict):
    """A model as /v1/models shows it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_length: NotRequired[int]


@dataclass(frozen=True, slots=True)
class Target:
    """Who answers: the agent or a model alone; `ref` is the model that was named, if any."""

    agent: bool
    ref: str | None = None


def resolve(model_id: str, models: Sequence[ChainModel]) -> Target:
    """Who is meant by a model id. Raises ApiError 404 when it names none that can be asked."""
    if model_id in (AGENT, AUTO):
        return Target(agent=model_id == AGENT)
    agent = model_id.startswith(f"{AGENT}:")
    ref = model_id.removeprefix(f"{AGENT}:")
    found = next((model for model in models if model.ref == ref), None)
    if found is None:
        raise _not_found(f"The model `{model_id}` does not exist; GET /v1/models lists all.")
    if not found.on:
        raise _not_found(f"The model `{model_id}` cannot be asked: {found.reason.rstrip('.')}.")
    return Target(agent=agent, ref=ref)


def list_models(models: Sequence[ChainModel]) -> list[ModelObject]:
    """Every id that can be asked now: the agent first, then the chain, then each model."""
    on = [model for model in models if model.on]
    return [
        _object(AGENT, OWNER),
        _object(AUTO, OWNER),
        *(_object(f"{AGENT}:{model.ref}", model.owned_by, model.context) for model in on),
        *(_object(model.ref, model.owned_by, model.context) for model in on),
    ]


def find_model(model_id: str, models: Sequence[ChainModel]) -> ModelObject:
    """One entry of the list. Raises ApiError 404 as `resolve` does."""
    target = resolve(model_id, models)
    found = next((model for model in models if model.ref == target.ref), None)
    if found is None:
        return _object(model_id, OWNER)
    return _object(model_id, found.owned_by, found.context)


def _object(model_id: str, owner: str, context: int | None = None) -> ModelObject:
    made = ModelObject(id=model_id, object="model", created=CREATED, owned_by=owner)
    if context is not None:
        made["context_length"] = context
    return made


def _not_found(message: str) -> ApiError:
    return ApiError(message, 404, param="model", code="model_not_found")
