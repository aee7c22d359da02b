"""A chat model of ours around one model of one provider; its failures are ProviderErrors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk as Chunk
from langchain_core.outputs import ChatResult
from pydantic import Field, SkipValidation

from potluck.errors import QUOTA_KINDS, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers import answers
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.attempt import Attempt, estimate_for
from potluck.providers.backend import Backend
from potluck.providers.call_span import begin_call, end_call
from potluck.providers.dialects import MARKS, Keywords, to_vendor
from potluck.providers.draft import Draft
from potluck.providers.endings import fault_of_end, fault_of_nothing
from potluck.providers.errors import classify
from potluck.providers.failures import read_failure
from potluck.providers.history import repaired
from potluck.providers.idle_connections import ask
from potluck.providers.mending import gate_for, mended
from potluck.providers.offer import Offer
from potluck.providers.response_headers import captured_headers
from potluck.providers.stated_limits import stated_in_headers
from potluck.providers.stated_limits_texts import stated_in_failure
from potluck.providers.terms import Terms
from potluck.providers.watch import Watch
from potluck.quota.limiter import Limiter
from potluck.quota.windows import Amounts


class Link(AsyncChatModel):
    """One provider's model; asynchronous only.

    Each call holds room in the model's limits: what its terms give it, or what there is now, else
    it fails. Nothing of a stream goes out that another model could not go on from: chunks are held
    back until one says something, tool calls until they are whole. Raises ProviderError for
    everything that the vendor's class raises, for empty answers, and for streams that end before
    the answer does.
    """

    backend: SkipValidation[Backend] = Field(exclude=True)
    limiter: SkipValidation[Limiter] = Field(exclude=True)
    clock: Callable[[], datetime] = Field(exclude=True)
    watch: SkipValidation[Watch | None] = Field(default=None, exclude=True)
    terms: SkipValidation[Terms] = Field(default_factory=Terms, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "potluck-link"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:  # Any: BaseChatModel's own signature
        return {"model": self.backend.model.ref}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:  # noqa: ARG002 # Any: BaseChatModel's own signature
        model = self.backend.model
        return LangSmithParams(
            ls_provider=model.provider, ls_model_name=model.id, ls_model_type="chat"
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        async with self._attempt(messages, kwargs) as attempt:
            inner, options = await self._to_vendor(kwargs)
            history = self._history(messages)
            # The inner method itself: its public door would report every call twice
            generate = partial(inner._agenerate, history, stop=stop, **options)  # noqa: SLF001
            with captured_headers(attempt.seen):
                answer = ask(attempt.seen, generate)
                result = await self._within(self.backend.timeout_s, answer)
            generation = result.generations[0]
            attempt.note(generation)
            if not answers.is_answer(generation.message):
                raise self._error(fault_of_nothing(answers.finish_reason(generation)))
            answers.strip_marks(generation)
            reason = answers.finish_reason(generation)
            given = cast("AIMessage", generation.message)
            message = mended(given, Offer.of(kwargs), self.backend.model, reason=reason)
            self.sign(message)
            return ChatResult(generations=[generation.model_copy(update={"message": message})])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> AsyncIterator[Chunk]:
        async with aclosing(self.stream_chunks(messages, stop, kwargs)) as chunks:
            async for chunk in chunks:
                yield Chunk(message=chunk)

    async def stream_chunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, object],
        *,
        may_be_empty: bool = False,
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer in chunks; the last one holds the metadata, and no other does.

        With `may_be_empty` a model may find that there is nothing left to say.
        """
        async with self._attempt(messages, options) as attempt:
            inner, keywords = await self._to_vendor(options)
            history = self._history(messages)
            offer = Offer.of(options)
            draft = Draft(gate_for(offer))
            stream = self._chunks(inner, history, stop, keywords, attempt)
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    attempt.note(chunk)
                    ready = draft.take(chunk)
                    attempt.say(begun=draft.said)
                    for message in ready:
                        yield message
            fault = fault_of_end(draft, may_be_empty=may_be_empty)
            if fault is not None:
                raise self._error(fault)
            held = draft.held()
            if held is not None:
                yield mended(held, offer, self.backend.model, reason=draft.finish_reason)
            last = AIMessageChunk(content="", chunk_position="last")
            last.response_metadata = draft.metadata
            self.sign(last)
            yield last

    async def _chunks(
        self,
        inner: BaseChatModel,
        history: list[BaseMessage],
        stop: list[str] | None,
        options: Keywords,
        attempt: Attempt,
    ) -> AsyncGenerator[Chunk]:
        """The vendor's chunks, each within the time limit."""
        async with AsyncExitStack() as opened:

            async def begin() -> tuple[AsyncIterator[Chunk], Chunk | None]:
                stream = inner._astream(history, stop=stop, **options)  # noqa: SLF001 # see _agenerate
                # Every vendor's is a generator, whose connection ends when it is closed
                await opened.enter_async_context(aclosing(cast("AsyncGenerator[Chunk]", stream)))
                return stream, await anext(stream, None)

            # Headers come before the first chunk, and no more of them after it
            with captured_headers(attempt.seen):
                begun = ask(attempt.seen, begin)
                stream, chunk = await self._within(self.backend.silence_s, begun)
            self._learn(attempt)
            while chunk is not None:
                yield chunk
                chunk = await self._within(self.backend.silence_s, anext(stream, None))

    async def _within[Result](self, longest_s: float, work: Awaitable[Result]) -> Result:
        """Fail when the work takes longer than the model, or the call, has time."""
        patience_s = longest_s if self.watch is None else self.watch.patience_s(longest_s)
        try:
            async with asyncio.timeout(patience_s) as limit:
                return await work
        except TimeoutError as error:
            if not limit.expired():
                raise
            # The model is not to blame for the time that others took
            scope = ErrorScope.MODEL if patience_s >= longest_s else ErrorScope.REQUEST
            message = f"it said nothing for {patience_s:.3g} s"
            raise self._error(ProviderFault(ErrorKind.TIMEOUT, scope, message)) from error

    def _history(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """The conversation as this model takes it, whoever answered before."""
        model, api = self.backend.model, self.backend.provider.api
        return answers.restore_marks(repaired(messages, api=api, model=model))

    async def _to_vendor(self, options: Mapping[str, object]) -> tuple[BaseChatModel, Keywords]:
        inner = await self.backend.chat_model()
        return to_vendor(inner, self.backend.provider.api, self.backend.base_url, options)

    @property
    def dialect(self) -> str:
        """The vendor's class whose form the answers have."""
        return MARKS[self.backend.provider.api]

    def sign(self, message: BaseMessage) -> None:
        """Write into the message that this model answered."""
        model = self.backend.model
        answers.sign(message, provider=model.provider, model=model.id, dialect=self.dialect)

    def _error(self, fault: ProviderFault) -> ProviderError:
        model = self.backend.model
        return ProviderError(model.provider, model.id, fault)

    @asynccontextmanager
    async def _attempt(
        self, messages: Sequence[BaseMessage], options: Mapping[str, object]
    ) -> AsyncIterator[Attempt]:
        """Hold room for a call, turn what goes wrong into ProviderError, settle what was used."""
        keeps_output = self.backend.provider.reserves_output is not None
        attempt = Attempt(self.estimate(messages, options), keeps_output)
        failure: ProviderError | None = None
        answered = False
        if self.watch is not None:
            self.watch.check()
        span = begin_call(self.backend, self.terms, options)
        try:
            # Building the vendor's class takes a while, in which the provider counts nothing
            await self.backend.chat_model()
            await self._reserve(attempt)
            yield attempt
            answered = True
        except ProviderError as error:
            failure = error
            raise
        except Exception as error:  # a vendor's class raises whatever its parts raise
            failure = self._classified(error, attempt)
            raise failure from error
        finally:
            self._learn(attempt, failure)
            self._record(attempt, failure, answered=answered)
            self._report(failure, answered=answered)
            end_call(span, attempt, failure, answered=answered)
            await attempt.settle(self.backend.model, failed=failure is not None)

    def estimate(self, messages: Sequence[BaseMessage], options: Mapping[str, object]) -> Amounts:
        """About what a call would count for."""
        return estimate_for(self.backend, messages, options)

    async def _reserve(self, attempt: Attempt) -> None:
        model, estimate = self.backend.model, attempt.estimate
        tokens = estimate.of("tokens")
        if model.context is not None and tokens > model.context:
            message = f"about {tokens:.0f} tokens are more than its context of {model.context}"
            raise self._error(ProviderFault(ErrorKind.TOO_LARGE, ErrorScope.REQUEST, message))
        reservation = self.terms.reservation or await self.limiter.reserve(
            self.backend.deployment, estimate, priority=self.terms.priority
        )
        attempt.send(reservation)

    def _learn(self, attempt: Attempt, failure: ProviderError | None = None) -> None:
        """What the headers that came meanwhile say of the model's limits."""
        headers = attempt.new_headers()
        if headers:
            provider = self.backend.provider
            stated = stated_in_headers(provider.id, provider.api, headers, self.clock())
            refused = failure is not None and failure.kind in QUOTA_KINDS
            self.limiter.learn(self.backend.deployment, stated, refused=refused)

    def _record(self, attempt: Attempt, failure: ProviderError | None, *, answered: bool) -> None:
        deployment = self.backend.deployment
        if attempt.sent and attempt.first_word_s is not None and self.watch is not None:
            self.watch.spoke(attempt.first_word_s)
        self.terms.recorder.note(
            attempt.record(
                deployment, self.terms, failure=failure, answered=answered, now=self.clock()
            )
        )

    def _classified(self, error: Exception, attempt: Attempt) -> ProviderError:
        model, now = self.backend.model, self.clock()
        stated = stated_in_failure(read_failure(error), model.provider, now)
        found = classify(error, provider=model.provider, model=model.id, now=now)
        refused = found.kind in QUOTA_KINDS
        self.limiter.learn(self.backend.deployment, stated, refused=refused)
        if attempt.begun and found.fault.scope is ErrorScope.PROVIDER:
            # One connection broke, to a provider that can be reached
            return self._error(replace(found.fault, scope=ErrorScope.MODEL))
        return found

    def _report(self, failure: ProviderError | None, *, answered: bool) -> None:
        if self.watch is None:
            return
        if failure is not None:
            self.watch.failed(failure)
        elif answered:
            self.watch.answered()
        else:
            self.watch.left()
