"""Orders the models for one call, and asks one after the other until one answers."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.attendance import Attendance
from potluck.providers.backend import Backend
from potluck.providers.catalog import (
    OFFLINE,
    Catalog,
    Model,
    Provider,
    ProviderStatus,
    TaskType,
)
from potluck.providers.course import Course
from potluck.providers.last import LastResort, build_refusal
from potluck.providers.link import Link
from potluck.providers.member import Member
from potluck.providers.succession import Heirs, Succession
from potluck.providers.tombstones import TombstoneMemory, Tombstones
from potluck.quota.limiter import Limiter

SILENCE_S = 30.0

Tool = BaseTool | type | Callable[..., object] | dict[str, Any]  # Any: a JSON schema


@dataclass(frozen=True, slots=True)
class Call:
    """What one call needs of a model, and who may answer it.

    `prefer` and `only` are refs (`provider/model-id`, or a provider's id for all its models);
    `private` leaves out whoever may train on prompts; `params` are OpenAI's: temperature,
    max_tokens, stop, seed, response_format. `tool_choice` is `auto`, `none`, `any` or a name.
    """

    task_type: TaskType = "general"
    tools: Sequence[Tool] = ()
    tool_choice: str | None = None
    prefer: str | None = None
    only: str | None = None
    private: bool = False
    params: Mapping[str, object] = field(default_factory=dict)
    on_failover: Callable[[ProviderError], None] | None = None


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
    ) -> None:
        self._catalog = catalog
        self._statuses = [s for s in statuses if s.provider.api != "offline"]
        self._tombstones = tombstones or Tombstones(TombstoneMemory(), clock=clock)
        self._succession = Succession(self._statuses, self._tombstones)
        self._outages = Attendance(clock, self._succession)
        self._links = [
            Link(backend=backend, limiter=limiter, clock=clock)
            for status in self._statuses
            if status.on
            for backend in _backends(status, timeout_s)
        ]
        self._heirs = Heirs.of(self._links, self._succession)

        # Whoever has put in a paid key alone wants it used.
        self._all_cost = all(link.backend.provider.by_name_only for link in self._links)

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

    def runnable(self, call: Call) -> Runnable[LanguageModelInput, AIMessage]:
        """What answers `call`: ask it with `ainvoke` or `astream`.

        Its last member is the offline model. With `only` it is ChainError, which names each
        failure. ChainError is raised too when the request itself is wrong (kind `caller`).
        """
        out: list[ProviderError] = []
        links = self._select(call, out)
        course = Course(
            timeout_s=self._catalog.fallback.timeout_seconds,
            outages=self._outages,
            hedge_after_s=self._catalog.fallback.hedge_after_seconds,
            known=tuple(out),
            on_failover=call.on_failover,
        )
        options = _options(call)
        may_end_offline = call.only is None or _is_offline(call.only)
        last = LastResort(attempts=course.attempts) if may_end_offline else None
        models: list[Member | LastResort] = [
            Member(links=links, place=place, course=course, last=last)
            for place in range(len(links))
        ]
        if last is not None:
            models.append(last)
        members: list[Runnable[LanguageModelInput, AIMessage]] = [
            model.bind(**options) if options else model for model in models
        ]
        if last is None:
            members.append(build_refusal(course.attempts))
        return members[0].with_fallbacks(members[1:], exceptions_to_handle=(ProviderError,))

    async def aclose(self) -> None:
        """Close every connection that a call has opened."""
        backends = [*(link.backend for link in self._links), *self._heirs.backends()]
        await asyncio.gather(*(backend.aclose() for backend in backends), self._tombstones.aclose())

    def _select(self, call: Call, attempts: list[ProviderError]) -> list[Link]:
        """The links to ask, best first; those known to be out are noted as attempts instead."""
        wanted = [link for link in self._links if _fits(link.backend, call)]
        if call.only is not None:
            wanted = [link for link in wanted if _is_named(link.backend.model, call.only)]
            if not wanted and not _is_offline(call.only):
                attempts.append(self._missing(call.only))
        ready: list[Link] = []
        doubtful: list[Link] = []
        for link in self._heirs.behind(self._order(wanted, call)):
            backend = link.backend
            if not _fits(backend, call):
                continue
            outage = self._outages.find(
                backend.provider.id, backend.model.id, account=backend.account
            )
            if outage is None:
                ready.append(link)
            elif outage.certain:
                # An heir that has a place of its own stands in the list twice
                if str(outage.error) not in map(str, attempts):
                    attempts.append(outage.error)
            else:
                doubtful.append(link)
        return ready + doubtful

    def _order(self, links: Iterable[Link], call: Call) -> list[Link]:
        route = self._catalog.routes.get(call.task_type, ())
        emergency = self._catalog.fallback.emergency_provider

        def rank(link: Link) -> tuple[bool, int, bool]:
            model = link.backend.model
            preferred = call.prefer is not None and _is_named(model, call.prefer)
            place = next((i for i, name in enumerate(route) if _is_named(model, name)), len(route))
            return (not preferred, place, model.provider == emergency and place == len(route))

        named = {call.prefer, call.only, *route} - {None}
        return sorted(
            (
                link
                for link in links
                if self._all_cost
                or not link.backend.provider.by_name_only
                or any(_is_named(link.backend.model, name) for name in named if name)
            ),
            key=rank,
        )

    def _missing(self, ref: str) -> ProviderError:
        """Why nothing that is on answers to `ref`."""
        provider, _, model = ref.partition("/")
        status = next((s for s in self._statuses if s.provider.id == provider), None)
        if status is not None and not status.on:
            fault = ProviderFault(ErrorKind.AUTH, ErrorScope.KEY, status.reason)
        else:
            message = "it is not in the catalog, or cannot do what this call needs"
            fault = ProviderFault(ErrorKind.MODEL_GONE, ErrorScope.MODEL, message)
        return ProviderError(provider, model, fault)


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


def _is_named(model: Model, name: str) -> bool:
    return name in (model.ref, model.provider)


def _is_offline(ref: str) -> bool:
    return ref.partition("/")[0] == OFFLINE


def _fits(backend: Backend, call: Call) -> bool:
    needs = set()
    if call.tools:
        needs.add("tools")
    wanted = call.params.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type", "text") != "text":
        needs.add("json")
    return needs <= backend.model.capabilities and _is_private_enough(backend.provider, call)


def _is_private_enough(provider: Provider, call: Call) -> bool:
    return not call.private or provider.trains_on_prompts == "no"


def _options(call: Call) -> dict[str, object]:
    options = {key: value for key, value in call.params.items() if value is not None}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if call.tools:
        options["tools"] = [convert_to_openai_tool(tool) for tool in call.tools]
        if call.tool_choice is not None:
            options["tool_choice"] = call.tool_choice
    return options
