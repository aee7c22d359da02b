"""How the catalog differs from what its providers serve."""

from dataclasses import dataclass

from potluck.providers.catalog import Model, Provider
from potluck.providers.model_lists import ModelList, ServedModel
from potluck.providers.succession import successors


@dataclass(frozen=True, slots=True)
class Loss:
    """A model of the catalog that is gone, or on its way out (`still_served`); what replaces it."""

    model: Model
    replacement: ServedModel | None = None
    still_served: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One provider's: models that the catalog does not know, and those that are lost."""

    provider: str
    served: int
    new: tuple[ServedModel, ...] = ()
    lost: tuple[Loss, ...] = ()


def compare(provider: Provider, listed: ModelList) -> Difference:
    """What has changed at this provider. New are only models that can chat, and free ones.

    A price counts where the list states one and the catalog does not call the provider paid.
    """
    known = [model.id for model in provider.models]
    new = (
        served
        for served in listed.models
        if not any(served.is_called(name) for name in known)
        and served.chats is not False
        and (provider.paid or served.free is not False)
    )
    losses = (_loss(model, provider, listed) for model in provider.models)
    return Difference(
        provider=provider.id,
        served=len(listed.models),
        new=tuple(sorted(new, key=lambda served: served.id)),
        lost=tuple(loss for loss in losses if loss is not None),
    )


def _loss(model: Model, provider: Provider, listed: ModelList) -> Loss | None:
    served = listed.find(model.id)
    if served is not None:
        announced = served.replacement
        if announced is None or served.is_called(announced):
            return None
        return Loss(model, listed.find(announced) or ServedModel(announced), still_served=True)
    heirs = (listed.find(heir.id) for heir in successors(model, provider))
    return Loss(model, next((heir for heir in heirs if heir is not None), None))
