"""The catalog as the limiter sees it: rules for each provider."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from potluck.providers.catalog import Catalog, Model, Provider
from potluck.providers.succession import successors
from potluck.quota.budgets import Rules, Stated


def rules_of(catalog: Catalog, providers: Iterable[Provider] = ()) -> Iterator[Rules]:
    """The rules for the catalog's providers.

    `providers` are those of them that serve other models than the catalog lists, as an Ollama
    does.
    """
    for provider in _merged(catalog, providers):
        yield Rules(
            provider=provider.id,
            account=Stated(provider.limits, provider.set_by_user),
            models={model.id: _stated(model) for model in _models(provider)},
            resets=provider.resets,
            stop_at=provider.stop_at,
            reserve_for_interactive=catalog.reserve_for_interactive,
            keys_share_limits=provider.keys_share_limits,
        )


def _merged(catalog: Catalog, providers: Iterable[Provider]) -> Iterable[Provider]:
    """The catalog's providers, each with the models that only the one in use knows of."""
    found = dict(catalog.providers)
    for used in providers:
        listed = found.get(used.id, used)
        known = {model.id for model in listed.models}
        others = (model for model in used.models if model.id not in known)
        found[used.id] = replace(listed, models=(*others, *listed.models))
    return found.values()


def _models(provider: Provider) -> Iterator[Model]:
    """Every model of its, listed ones last: what the catalog says of them counts."""
    for model in provider.models:
        yield from successors(model, provider)
    yield from provider.models


def _stated(model: Model) -> Stated:
    return Stated(model.limits, model.set_by_user, model.checked_on)
