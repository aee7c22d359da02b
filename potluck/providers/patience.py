"""The member of a chain that waits: for models that have no room, or failed, for a moment."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.course import Course, Wait
from potluck.providers.last import LastResort
from potluck.providers.link import Link
from potluck.providers.member import Member
from potluck.providers.room import shortened
from potluck.quota.limiter import (
    WORTH_WAITING,
    NobodyHasRoomError,
    RefusedError,
    Reservation,
    Want,
)
from potluck.quota.windows import Amounts

_MAY_PASS = frozenset({ErrorKind.OVERLOAD, ErrorKind.TIMEOUT, ErrorKind.NETWORK})
# A model that is refused again and again after its time was up is not waited for any longer
_MOST_TRIES = 5
TOLD_AFTER_S = 0.5
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a chain that failed in a way that may pass is asked again, and after how long."""

    count: int = 0
    delay_s: float = 0.0


class Patience(AsyncChatModel):
    """Asks the first of `links` that is back within `patience_s`; asynchronous only.

    `patience_s` is for the whole call: what members before it have waited is gone. Raises
    ProviderError when nobody is back in time. Nobody waits after the one that `is_final`; the one
    that `is_last` asks once more where all answers were empty.
    """

    links: SkipValidation[Sequence[Link]] = Field(exclude=True)
    course: SkipValidation[Course] = Field(exclude=True)
    last: SkipValidation[LastResort | None] = Field(default=None, exclude=True)
    sleep: SkipValidation[Callable[[float], Awaitable[object]]] = Field(
        default=asyncio.sleep, exclude=True
    )
    patience_s: float
    retries: SkipValidation[Retries] = Field(default_factory=Retries, exclude=True)
    begins: bool = False
    is_last: bool = False
    is_final: bool = False

    @property
    def _llm_type(self) -> str:
        return "potluck-patience"

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        async with aclosing(self._members(messages, kwargs)) as members:
            async for member in members:
                try:
                    return await member._agenerate(messages, stop, **kwargs)  # noqa: SLF001 # ours
                except ProviderError:
                    # The course has noted it
                    continue
        raise self._nobody()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._members(messages, kwargs)) as members:
            async for member in members:
                # It raises only while nothing of the answer is out
                try:
                    async with aclosing(_stream(member, messages, stop, kwargs)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                except ProviderError:
                    continue
                else:
                    return
        raise self._nobody()

    async def _members(
        self, messages: Sequence[BaseMessage], options: Mapping[str, object]
    ) -> AsyncGenerator[Member]:
        """Who is to be asked next, when it is worth it."""
        if self.begins:
            self.course.begin()
        async with aclosing(self._returning(messages, options)) as returning:
            async for member in returning:
                yield member
        async with aclosing(self._again()) as again:
            async for member in again:
                yield member
        for member in self._once_more():
            yield member

    async def _returning(
        self, messages: Sequence[BaseMessage], options: Mapping[str, object]
    ) -> AsyncGenerator[Member]:
        """Each time, the model that has room first."""
        tries = dict.fromkeys(range(len(self.links)), 0)
        while True:
            left_s = min(self.patience_s - self.course.waited_s, self.course.left_s())
            wants = {
                place: Want(
                    link.backend.deployment, self._estimate(link, messages, options), not_before
                )
                for place, link in enumerate(self.links)
                if tries[place] < _MOST_TRIES
                and (not_before := self._back_at(link)) is not None
                and (not_before - self.course.clock()).total_seconds() < left_s
            }
            found = await self._wait(wants, left_s) if wants else None
            if found is None:
                return
            place, reservation = found
            tries[place] += 1
            try:
                yield self._member(place, reservation)
            finally:
                # Without effect, once the call that it was for has settled it
                await reservation.release()

    def _estimate(
        self, link: Link, messages: Sequence[BaseMessage], options: Mapping[str, object]
    ) -> Amounts:
        estimate = link.estimate(messages, options)
        if self.course.terms.fit is None:
            return estimate
        uses = link.limiter.known_uses(link.backend.deployment)
        return shortened(estimate, link.backend, uses, options)

    async def _wait(
        self, wants: Mapping[int, Want], left_s: float
    ) -> tuple[int, Reservation] | None:
        """Room for one of the wants, by its place; None when there is none in time."""
        began, places = self.course.clock(), list(wants)
        timer = self._tell_soon(wants, began + timedelta(seconds=left_s))
        try:
            index, reservation = await self.links[0].limiter.reserve_first(
                list(wants.values()), priority=self.course.terms.priority, patience_s=left_s
            )
        except NobodyHasRoomError as error:
            for index, refusal in error.refusals.items():
                self.course.refuse(wants[places[index]].deployment, refusal)
            return None
        finally:
            timer.cancel()
            self.course.waited_s += (self.course.clock() - began).total_seconds()
        place = places[index]
        self.course.refused.pop(wants[place].deployment, None)
        return place, reservation

    def _tell_soon(self, wants: Mapping[int, Want], until: datetime) -> asyncio.TimerHandle:
        """Say that the call waits, once it has for a while; a moment is nobody's concern."""
        refs = (self.links[place].backend.model.ref for place in wants)
        wait = Wait(tuple(dict.fromkeys(refs)), until)

        def tell() -> None:
            if self.course.on_wait is not None:
                self.course.on_wait(wait)

        return asyncio.get_running_loop().call_later(TOLD_AFTER_S, tell)

    async def _again(self) -> AsyncGenerator[Member]:
        """All that may have recovered, once more."""
        for _ in range(self.retries.count):
            links = [link for link in self.links if self._may_have_recovered(link)]
            if not links or self._is_offline() or self.course.left_s() <= self.retries.delay_s:
                return
            await self.sleep(self.retries.delay_s)
            for place in range(len(links)):
                yield Member(
                    links=links, place=place, course=self.course, last=self.last, again=True
                )

    def _once_more(self) -> Iterator[Member]:
        """The first that may be asked, when nothing but empty answers came: the next may not be."""
        if not (self.is_last and self.course.was_only_empty() and self.course.left_s()):
            return
        asked = {(error.provider, error.model) for error in self.course.met}
        for place, link in enumerate(self.links):
            model = link.backend.model
            outage = self.course.outages.find(
                model.provider, model.id, account=link.backend.account
            )
            if (model.provider, model.id) in asked and not (outage and outage.certain):
                yield self._member(place)
                return

    def _member(self, place: int, reservation: Reservation | None = None) -> Member:
        """The link at that place; the others finish what it may begin."""
        links = [self.links[place], *self.links[:place], *self.links[place + 1 :]]
        return Member(
            links=links,
            place=0,
            course=self.course,
            last=self.last,
            again=True,
            reservation=reservation,
        )

    def _back_at(self, link: Link) -> datetime | None:
        """When the link's outage ends, or now if it has no room; None: that is not waited for."""
        refused = self.course.refused.get(link.backend.deployment)
        if refused is not None:
            return self.course.clock() if refused.kind in WORTH_WAITING else None
        backend = link.backend
        outage = self.course.outages.find(
            backend.provider.id, backend.model.id, account=backend.account
        )
        if outage is None or outage.error.kind not in WORTH_WAITING:
            return None
        return outage.until

    def _may_have_recovered(self, link: Link) -> bool:
        backend = link.backend
        outage = self.course.outages.find(
            backend.provider.id, backend.model.id, account=backend.account
        )
        if outage is not None and outage.certain:
            return False
        return any(
            error.kind in _MAY_PASS
            for error in self.course.met
            if (error.provider, error.model) == (backend.provider.id, backend.model.id)
        )

    def _is_offline(self) -> bool:
        """Whether nothing could be reached at all, which is no matter of seconds."""
        return all(error.kind is ErrorKind.NETWORK for error in self.course.met)

    def _nobody(self) -> ProviderError:
        if self.is_final:
            self._book()
        model = self.links[0].backend.model
        fault = ProviderFault(ErrorKind.UNKNOWN, ErrorScope.REQUEST, "nobody is back in time")
        return ProviderError(model.provider, model.id, fault)

    def _book(self) -> None:
        """Whoever is told when to come back has a place then, which others are not told of."""
        told = [error for error in self.course.attempts() if error.fault.until is not None]
        first = min(told, key=lambda error: error.fault.until or _NEVER, default=None)
        if isinstance(first, RefusedError):
            self.links[0].limiter.book(first)


async def _stream(
    member: Member, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
) -> AsyncGenerator[ChatGenerationChunk]:
    async for chunk in member._astream(messages, stop, **options):  # noqa: SLF001 # ours
        yield chunk
