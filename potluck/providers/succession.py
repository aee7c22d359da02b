"""Which models of a chain are gone, and who takes their places."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from potluck.errors import ProviderError
from potluck.providers.backend import Backend
from potluck.providers.catalog import Model, Provider, ProviderStatus
from potluck.providers.heir import Heir
from potluck.providers.link import Link
from potluck.providers.tombstones import Tombstone, Tombstones


@dataclass(frozen=True, slots=True)
class _Served:
    """A model at one address, with how many keys it is asked."""

    model: Model
    provider: Provider
    address: str | None
    accounts: int


class Succession:
    """The tombstones as a chain sees them: by the provider's id and the model's."""

    def __init__(self, statuses: Iterable[ProviderStatus], tombstones: Tombstones) -> None:
        self._tombstones = tombstones
        self._served = {
            (served.model.provider, served.model.id): served for served in _served(statuses)
        }

    def find(self, provider: str, model: str) -> Tombstone | None:
        """What stands against this model, if anything does."""
        served = self._served.get((provider, model))
        return self._tombstones.find(served.model, served.address) if served else None

    def bury(self, error: ProviderError, *, account: int) -> bool:
        """Put up a tombstone if the error says that the model is gone; whether there is one now."""
        served = self._served.get((error.provider, error.model))
        # What an Ollama has is what its owner has pulled, and may pull again at any time
        if served is None or served.provider.api == "ollama":
            return False
        tombstone = self._tombstones.bury(
            error, served.model, served.address, account=account, accounts=served.accounts
        )
        return tombstone is not None

    def find_end(self, provider: str, model: str) -> Tombstone | None:
        """What stands against this model when nothing is left to take its place, either."""
        served = self._served.get((provider, model))
        if served is None or not self.are_gone(successors(served.model, served.provider)):
            return None
        return self.find(provider, model)

    def are_gone(self, models: Sequence[Model]) -> bool:
        """Whether all of them are."""
        return all(self.find(model.provider, model.id) is not None for model in models)


@dataclass(frozen=True, slots=True)
class Heirs:
    """Of each link, those that stand behind it for the time when its model is gone."""

    by_place: Mapping[tuple[str, int], tuple[Heir, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, links: Sequence[Link], succession: Succession) -> "Heirs":
        """Made from the replacements in the catalog; a model that has a link shares its backend."""
        backends = {_place(link.backend): link.backend for link in links}
        return cls({_place(link.backend): _heirs(link, backends, succession) for link in links})

    def behind(self, links: Iterable[Link]) -> Iterator[Link]:
        """The links in their order, each with its heirs behind it."""
        for link in links:
            yield link
            yield from self.by_place[_place(link.backend)]

    def backends(self) -> list[Backend]:
        """Where the heirs send their calls."""
        return [heir.backend for heirs in self.by_place.values() for heir in heirs]


def successors(model: Model, provider: Provider) -> tuple[Model, ...]:
    """The model's replacement, that one's own, and so on; without circles.

    One that the catalog does not list is taken to be like the model that it replaces.
    """
    found: list[Model] = []
    seen = {model.id}
    current = model
    while current.replacement is not None:
        current = _named(current.replacement, current, provider)
        if current.id in seen:
            break
        seen.add(current.id)
        found.append(current)
    return tuple(found)


def _named(name: str, like: Model, provider: Provider) -> Model:
    """The provider's model called `name` or, with the provider before it, `provider/name`."""
    for wanted in (name, name.removeprefix(f"{provider.id}/")):
        listed = next((model for model in provider.models if model.id == wanted), None)
        if listed is not None:
            return listed
    return replace(like, id=name, replacement=None, price=None, checked_on=None, source=None)


def _served(statuses: Iterable[ProviderStatus]) -> Iterator[_Served]:
    """Every model of theirs, listed ones last: what the catalog says of them counts."""
    for status in statuses:
        provider = status.provider
        address = status.base_url or provider.base_url
        unlisted = [heir for model in provider.models for heir in successors(model, provider)]
        for model in (*unlisted, *provider.models):
            yield _Served(model, provider, address, len(status.keys) or 1)


def _heirs(
    link: Link, backends: Mapping[tuple[str, int], Backend], succession: Succession
) -> tuple[Heir, ...]:
    backend = link.backend
    before = [backend.model]
    found: list[Heir] = []
    for model in successors(backend.model, backend.provider):
        place = (model.ref, backend.account)
        found.append(
            Heir(
                backend=backends.get(place) or replace(backend, model=model),
                limiter=link.limiter,
                clock=link.clock,
                is_due=partial(succession.are_gone, tuple(before)),
            )
        )
        before.append(model)
    return tuple(found)


def _place(backend: Backend) -> tuple[str, int]:
    return backend.deployment.ref, backend.account
