"""Orders the models for one call, and asks one after the other until one answers."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable

from potluck import telemetry
from potluck.cache.responses import ResponseCache
from potluck.errors import ProviderError
from potluck.providers.attendance import Attendance
from potluck.providers.backend import Backend, key_id_of
from potluck.providers.cached import Desk, cache_options, cached
from potluck.providers.call import Call, is_offline, options_of
from potluck.providers.catalog import Catalog, Model, ProviderStatus
from potluck.providers.course import Course
from potluck.providers.heir import Heir
from potluck.providers.last import LastResort, build_refusal
from potluck.providers.link import Link
from potluck.providers.member import Member
from potluck.providers.observed import Listener, Observed
from potluck.providers.ordering import Ordering
from potluck.providers.outages import Outage
from potluck.providers.paces import Paces
from potluck.providers.patience import Patience, Retries
from potluck.providers.room import room_for
from potluck.providers.selection import Choice, Selection
from potluck.providers.shared_outages import SharedOutages
from potluck.providers.succession import Heirs, Succession
from potluck.providers.terms import Terms
from potluck.providers.tombstones import TombstoneMemory, Tombstones
from potluck.quota.calls import NoRecorder, Recorder
from potluck.quota.limiter import Limiter

__all__ = ["Call", "Chain", "ChainModel"]

SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class ChainModel:
    """A model as the OpenAI door lists it; `reason` says why it is off."""

    ref: str
    owned_by: str
    context: int | None
    on: bool
    reason: str


class Chain:
    """All models that are on, behind one door. Close it with `aclose` when done."""

    def __init__(  # noqa: PLR0913 # keyword-only after the third, each with a default but one
        self,
        catalog: Catalog,
        statuses: Sequence[ProviderStatus],
        limiter: Limiter,
        *,
        clock: Callable[[], datetime],
        timeout_s: float = 60.0,
        tombstones: Tombstones | None = None,
        recorder: Recorder | None = None,
        cache: ResponseCache | None = None,
        outages: SharedOutages | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._catalog = catalog
        self.listeners: list[Listener] = []
        """Told how each call ended."""
        self._limiter = limiter
        self._recorder = recorder or NoRecorder()
        self._desk = None if cache is None else Desk(cache, clock, self._recorder)
        self._clock = clock
        self._sleep = sleep
        self._paces = Paces()
        self._statuses = [s for s in statuses if s.provider.api != "offline"]
        self._tombstones = tombstones or Tombstones(TombstoneMemory(), clock=clock)
        self._succession = Succession(self._statuses, self._tombstones)
        self._outages = Attendance(clock, self._succession, outages, _key_ids(self._statuses))
        self._links = [
            Link(backend=backend, limiter=limiter, clock=clock)
            for status in self._statuses
            if status.on
            for backend in _backends(status, timeout_s)
        ]
        self._heirs = Heirs.of(self._links, self._succession)
        self._selection = Selection(
            self._links,
            self._heirs,
            statuses=self._statuses,
            outages=self._outages,
            ordering=Ordering(limiter, self._paces, clock),
        )

    def models(self) -> list[ChainModel]:
        """Every model of the catalog, with whether it can be asked in this process."""
        return [
            self._listed(model, status)
            for status in self._statuses
            for model in status.provider.models
        ]

    def _listed(self, model: Model, status: ProviderStatus) -> ChainModel:
        end = self._succession.find_end(model.provider, model.id)
        reason = status.reason if end is None else str(end)
        return ChainModel(
            model.ref, model.provider, model.context, status.on and end is None, reason
        )

    def attendance(self) -> list[tuple[Backend, Outage | None]]:
        """Each model on each key, heirs once they are due, with what stands against asking it."""
        found: dict[tuple[str, int], tuple[Backend, Outage | None]] = {}
        for link in self._heirs.behind(self._links):
            if isinstance(link, Heir) and not link.is_due():
                continue
            backend = link.backend
            outage = self._outages.find(
                backend.provider.id, backend.model.id, account=backend.account
            )
            found.setdefault((backend.model.ref, backend.account), (backend, outage))
        return list(found.values())

    def forgive(self, refs: Collection[str]) -> None:
        """Ask these models again, whatever they said last; our own count of their use stays."""
        for link in self._links:
            backend = link.backend
            if backend.model.ref in refs:
                self._outages.forget(backend.provider.id, backend.model.id, account=backend.account)

    def room(self, call: Call) -> int | None:
        """How many tokens of messages the model takes that would be asked first for `call`.

        None when nothing is known to limit it, or when no LLM is there.
        """
        links = self._selection.choose(call, self._terms(call), self._catalog).links
        if not links:
            return None
        backend = links[0].link.backend
        return room_for(backend, self._limiter.known_uses(backend.deployment), options_of(call))

    def runnable(self, call: Call) -> Runnable[LanguageModelInput, AIMessage]:
        """What answers `call`: ask it with `ainvoke` or `astream`.

        Its last member is the offline model. With `only` it is ChainError, which names each
        failure. ChainError is raised too when the request itself is wrong (kind `caller`).
        """
        options = options_of(call)
        if self._desk is None:
            return self._asking(call, options)
        return cached(lambda: self._asking(call, options), call, self._desk, options=options)

    def _asking(
        self, call: Call, options: Mapping[str, object]
    ) -> Runnable[LanguageModelInput, AIMessage]:
        terms = self._terms(call)
        choice = self._selection.choose(call, terms, self._catalog)
        course = Course(
            timeout_s=self._catalog.fallback.timeout_seconds,
            outages=self._outages,
            clock=self._clock,
            terms=terms,
            paces=self._paces,
            hedge_after_s=self._catalog.fallback.hedge_after_seconds,
            known=choice.known,
            on_failover=call.on_failover,
            on_wait=call.on_wait,
        )
        may_end_offline = call.only is None or is_offline(call.only)
        last = None
        if may_end_offline:
            stands_in = call.only is None and bool(self._links)
            last = LastResort(attempts=course.attempts, stands_in=stands_in)
        models: list[Member | Patience | LastResort] = [
            *self._members(choice, course, last, call.most_wait_s)
        ]
        if last is not None:
            models.append(last)
        members: list[Runnable[LanguageModelInput, AIMessage]] = [
            model.bind(**options) if options else model for model in models
        ]
        if last is None:
            members.append(build_refusal(course.attempts))
        asked = members[0].with_fallbacks(members[1:], exceptions_to_handle=(ProviderError,))
        if self.listeners or telemetry.is_on():
            return Observed(asked, course, self.listeners)
        return asked

    async def refresh(self) -> None:
        """Read how much of each model is used, so that the next calls are ordered by it."""
        for deployment in {link.backend.deployment for link in self._links}:
            await self._limiter.uses(deployment)

    @property
    def catalog(self) -> Catalog:
        """The catalog whose routes and policy hold now."""
        return self._catalog

    def apply(self, catalog: Catalog) -> None:
        """From now on the routes and the policy of this catalog hold; who is on stays."""
        self._catalog = catalog
        if self._desk is not None:
            self._desk.cache.apply(cache_options(catalog.optimization))

    def _terms(self, call: Call) -> Terms:
        return Terms(
            task_type=call.task_type,
            priority=call.priority,
            thread=call.thread,
            parts=call.parts,
            tenant=call.tenant,
            recorder=self._recorder,
            fit=call.fit,
        )

    def _members(
        self,
        choice: Choice,
        course: Course,
        last: LastResort | None,
        most_wait_s: float | None,
    ) -> Iterator[Member | Patience]:
        """Each link in its turn; then, behind those that are alike, who waits for one of them.

        While a model of another kind is free nobody waits longer than an interactive call does.
        """
        waiting, fallback = self._catalog.waiting, self._catalog.fallback
        patience_s = waiting.patience_s(course.terms.priority)
        # Who will not wait has no use for another try, nor for a place later on.
        comes_back = most_wait_s is None
        if most_wait_s is not None:
            patience_s = min(patience_s, most_wait_s)
        short_s = min(patience_s, waiting.interactive_seconds)
        links = [placed.link for placed in choice.links]
        begins = True
        for place, placed in enumerate(choice.links):
            yield Member(links=links, place=place, course=course, last=last, begins=begins)
            begins = False
            group = placed.group
            if place + 1 < len(links) and choice.links[place + 1].group != group:
                alike = [one.link for one in choice.links[: place + 1] if one.group == group]
                yield Patience(
                    links=alike, course=course, last=last, patience_s=short_s, sleep=self._sleep
                )
        everyone = [*links, *choice.out]
        if everyone:
            yield Patience(
                links=everyone,
                course=course,
                last=last,
                patience_s=patience_s,
                retries=Retries(fallback.max_retries, fallback.retry_delay_seconds)
                if comes_back
                else Retries(),
                sleep=self._sleep,
                begins=begins,
                is_last=True,
                is_final=comes_back,
            )

    async def aclose(self) -> None:
        """Close every connection that a call has opened."""
        backends = [*(link.backend for link in self._links), *self._heirs.backends()]
        await asyncio.gather(*(backend.aclose() for backend in backends), self._tombstones.aclose())


def _key_ids(statuses: Iterable[ProviderStatus]) -> dict[str, list[str]]:
    return {one.provider.id: [key_id_of(key) for key in one.keys] for one in statuses if one.on}


def _backends(status: ProviderStatus, timeout_s: float) -> Iterable[Backend]:
    for model in status.provider.models:
        for account, key in enumerate(status.keys or (None,)):
            yield Backend(
                provider=status.provider,
                model=model,
                api_key=key,
                base_url=status.base_url or status.provider.base_url,
                account=account,
                timeout_s=timeout_s,
                silence_s=min(SILENCE_S, timeout_s),
            )
