"""A member of a chain: one model whose answer, once it has begun, is finished come what may."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers import answers
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.course import Course, CourseWatch
from potluck.providers.hedge import hedged
from potluck.providers.last import LastResort
from potluck.providers.link import Link
from potluck.providers.mending import correction
from potluck.providers.room import room_for
from potluck.providers.seam import NotContinuedError
from potluck.providers.told import Sequel, Told
from potluck.providers.trim import split_option, trimmed, trimmed_stream
from potluck.providers.turns import Turn, Turns
from potluck.quota.limiter import Reservation


class Member(AsyncChatModel):
    """The link at `place` of a chain; asynchronous only.

    Raises ProviderError while nothing of an answer is out, so that the next member is asked. A
    stream that dies later is finished by the links after it, and its reader sees one answer. When
    they all fail it ends with a plain word on why, or without `last` with ChainError. The call
    `begins` at its first member; its own link uses the room of `reservation`, once, and is asked
    although it failed in this call before when it is its turn `again`.
    """

    links: SkipValidation[Sequence[Link]] = Field(exclude=True)
    place: int
    begins: bool = False
    again: bool = False
    reservation: SkipValidation[Reservation | None] = Field(default=None, exclude=True)
    course: SkipValidation[Course] = Field(exclude=True)
    last: SkipValidation[LastResort | None] = Field(default=None, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "potluck-member"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:  # Any: BaseChatModel's own signature
        return {"model": self.links[self.place].backend.model.ref}

    def _get_ls_params(
        self,
        stop: list[str] | None = None,
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> LangSmithParams:
        return self.links[self.place]._get_ls_params(stop, **kwargs)  # noqa: SLF001 # ours

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        turns = self._begin()
        told = Told()
        trim, options = split_option(kwargs)
        while True:
            turn = turns.current
            link = self._watched(turn)
            try:
                request = _request(turn, told, await self._fitted(link, messages, options))
                result = await link._agenerate(request, stop, **options)  # noqa: SLF001 # ours
            except ProviderError as error:
                if not turns.next(error, begun=False, wrote=False):
                    self._refuse_callers_own(error)
                    raise
            else:
                generation = result.generations[0]
                message = cast("AIMessage", generation.message)
                message.response_metadata[answers.MODELS_KEY] = [link.backend.model.ref]
                ended = generation.model_copy(update={"message": trimmed(message, trim)})
                return ChatResult(generations=[ended])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> AsyncIterator[ChatGenerationChunk]:
        trim, options = split_option(kwargs)
        answer = self._answer(messages, stop, options)
        async with aclosing(trimmed_stream(answer, trim)) as chunks:
            async for chunk in chunks:
                yield ChatGenerationChunk(message=chunk)

    async def _answer(
        self, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, object]
    ) -> AsyncGenerator[AIMessageChunk]:
        """One answer in chunks, by as many models as it takes."""
        turns = self._begin()
        told = Told()
        goes_on = True
        while goes_on:
            before = told.text
            try:
                async with aclosing(self._turn(turns, told, messages, stop, options)) as chunks:
                    async for link, chunk in chunks:
                        yield told.take(chunk, link)
            except ProviderError as error:
                told.silent += error.kind is ErrorKind.EMPTY and told.text == before
                goes_on = turns.next(error, begun=told.begun, wrote=told.text != before)
                if not goes_on and not told.begun:
                    self._refuse_callers_own(error)
                    raise
                if not goes_on and self.course.was_only_empty():
                    # It has only thought aloud so far
                    goes_on = turns.repeat()
            else:
                return
        async with aclosing(self._end(told, messages, stop, options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _turn(
        self,
        turns: Turns,
        told: Told,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, object],
    ) -> AsyncGenerator[tuple[Link, AIMessageChunk]]:
        """What the model whose turn it is says; or the next one, if it is quicker."""

        def part(turn: Turn) -> AsyncGenerator[tuple[Link, AIMessageChunk]]:
            return self._part(turn, told, messages, stop, options)

        after_s, upcoming = self.course.hedge_after_s, turns.upcoming()
        if after_s is None or upcoming is None or told.begun:
            async with aclosing(part(turns.current)) as said:
                async for link, chunk in said:
                    yield link, chunk
            return
        race = hedged(part(turns.current), lambda: part(upcoming), after_s=after_s)
        overtaken = False
        async with aclosing(race) as spoken:
            async for is_second, (link, chunk) in spoken:
                if is_second and not overtaken:
                    overtaken = True
                    turns.overtake()
                yield link, chunk

    async def _part(
        self,
        turn: Turn,
        told: Told,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, object],
    ) -> AsyncGenerator[tuple[Link, AIMessageChunk]]:
        """One model's part of the answer, fitted to what is out."""
        link = self._watched(turn)
        request = _request(turn, told, await self._fitted(link, messages, options))
        sequel = Sequel(told) if told.begun else None
        stream = link.stream_chunks(request, stop, options, may_be_empty=told.looks_finished)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                fitted = chunk if sequel is None else self._fit(sequel, chunk, link)
                if fitted is not None:
                    yield link, fitted

    async def _fitted(
        self, link: Link, messages: list[BaseMessage], options: Mapping[str, object]
    ) -> list[BaseMessage]:
        """The conversation as long as the model takes it, if its caller lets it be shortened."""
        fit = self.course.terms.fit
        if fit is None:
            return messages
        room = room_for(link.backend, link.limiter.known_uses(link.backend.deployment), options)
        return messages if room is None else await fit(messages, room)

    def _fit(self, sequel: Sequel, chunk: AIMessageChunk, link: Link) -> AIMessageChunk | None:
        try:
            return sequel.fit(chunk)
        except NotContinuedError as error:
            model = link.backend.model
            message = "it began the answer anew instead of going on with it"
            fault = ProviderFault(ErrorKind.UNKNOWN, ErrorScope.REQUEST, message)
            failure = ProviderError(model.provider, model.id, fault)
            self.course.note(failure)
            raise failure from error

    async def _end(
        self,
        told: Told,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, object],
    ) -> AsyncGenerator[AIMessageChunk]:
        """What is said when no model could finish the answer."""
        if self.last is None:
            raise ChainError(self.course.attempts())
        if told.text:
            yield told.cut(self.course.met)
            return
        async for chunk in self.last.stream_chunks(messages, stop, options):
            yield chunk

    def _refuse_callers_own(self, error: ProviderError) -> None:
        """A request that two providers find wrong is wrong in itself, and not tried elsewhere."""
        if error.kind is ErrorKind.CALLER and len(self.course.refusing()) > 1:
            raise ChainError(self.course.attempts()) from error

    def _begin(self) -> Turns:
        if self.begins:
            self.course.begin()
        return Turns(self.links, self.place)

    def _watched(self, turn: Turn) -> Link:
        own = turn.link is self.links[self.place]
        again = turn.again or (own and self.again)
        watch = CourseWatch(
            self.course,
            turn.link.backend,
            is_last=turn.is_last,
            again=again,
            begun=self.course.clock(),
        )
        terms = self.course.terms
        if own:
            terms = replace(terms, reservation=self.reservation)
            self.reservation = None
        return turn.link.model_copy(update={"watch": watch, "terms": terms})


def _request(turn: Turn, told: Told, messages: list[BaseMessage]) -> list[BaseMessage]:
    if turn.complaint is None:
        return told.request(messages)
    return [*messages, *correction(turn.complaint, told.text)]
