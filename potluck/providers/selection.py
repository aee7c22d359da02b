"""Which links may answer a call, in which order, and who is out for now."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.call import Call, fits, is_offline
from potluck.providers.catalog import Catalog, ProviderStatus
from potluck.providers.link import Link
from potluck.providers.ordering import Ordering, Placed, is_named
from potluck.providers.outages import Outages
from potluck.providers.succession import Heirs
from potluck.providers.terms import Terms


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is asked for a call, best first; who is `out` for now, and why."""

    links: Sequence[Placed]
    out: tuple[Link, ...]
    known: tuple[ProviderError, ...]


class Selection:
    """Chooses among the links of a chain."""

    def __init__(
        self,
        links: Sequence[Link],
        heirs: Heirs,
        *,
        statuses: Sequence[ProviderStatus],
        outages: Outages,
        ordering: Ordering,
    ) -> None:
        self._links = links
        self._heirs = heirs
        self._statuses = statuses
        self._outages = outages
        self._ordering = ordering
        # Whoever has put in a paid key alone wants it used.
        self._all_cost = all(link.backend.provider.by_name_only for link in links)

    def choose(self, call: Call, terms: Terms, catalog: Catalog) -> Choice:
        """The links to ask; those known to be out are noted with their failures instead."""
        private = call.private or catalog.privacy == "private"
        if call.vision and not self._sees(call, private=private):
            # Who cannot see is told that there is an image, and can say so.
            call = replace(call, vision=False)
        wanted = [link for link in self._links if fits(link.backend, call, private=private)]
        fitting = set(map(id, wanted))
        known: list[ProviderError] = []
        if call.only is not None:
            wanted = [link for link in wanted if is_named(link.backend.model, call.only)]
            if not wanted and not is_offline(call.only):
                known.append(self._missing(call.only, private=private))
        ready: list[Placed] = []
        doubtful: list[Placed] = []
        out: list[Link] = []
        for placed in self._placed(wanted, call, terms, catalog):
            backend = placed.link.backend
            # An heir may not do what the one does that it stands in for
            if id(placed.link) not in fitting and not fits(backend, call, private=private):
                continue
            outage = self._outages.find(
                backend.provider.id, backend.model.id, account=backend.account
            )
            if outage is None:
                ready.append(placed)
            elif outage.certain:
                out.append(placed.link)
                # An heir that has a place of its own stands in the list twice
                if str(outage.error) not in map(str, known):
                    known.append(outage.error)
            else:
                doubtful.append(placed)
        return Choice([*ready, *doubtful], tuple(out), tuple(known))

    def _sees(self, call: Call, *, private: bool) -> bool:
        return any(fits(link.backend, call, private=private) for link in self._links)

    def _placed(
        self, links: Iterable[Link], call: Call, terms: Terms, catalog: Catalog
    ) -> Iterator[Placed]:
        """The links that may answer, in their order, each with its heirs behind it."""
        route = catalog.routes.get(call.task_type, ())
        named = {call.prefer, call.only, *route} - {None}
        allowed = (
            link
            for link in links
            if self._all_cost
            or not link.backend.provider.by_name_only
            or any(is_named(link.backend.model, name) for name in named if name)
        )
        for placed in self._ordering.place(
            allowed, terms, catalog, prefer=call.prefer, avoid=call.avoid
        ):
            for link in self._heirs.behind([placed.link]):
                yield Placed(link, placed.group)

    def _missing(self, ref: str, *, private: bool) -> ProviderError:
        """Why nothing that is on answers to `ref`."""
        provider, _, model = ref.partition("/")
        status = next((s for s in self._statuses if s.provider.id == provider), None)
        if status is not None and not status.on:
            fault = ProviderFault(ErrorKind.AUTH, ErrorScope.KEY, status.reason)
        else:
            message = "it is not in the catalog, or cannot do what this call needs"
            if private and status is not None and status.provider.trains_on_prompts != "no":
                message = "it may train on what it is sent, which `privacy: private` rules out"
            fault = ProviderFault(ErrorKind.MODEL_GONE, ErrorScope.MODEL, message)
        return ProviderError(provider, model, fault)
