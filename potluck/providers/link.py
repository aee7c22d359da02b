"""A chat model of ours around one model of one provider; its failures are ProviderErrors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field, SkipValidation

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers import answers
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.backend import Backend
from potluck.providers.dialects import MARKS, Keywords, to_vendor
from potluck.providers.errors import classify
from potluck.quota.limiter import Limiter, Reservation


class Watch(Protocol):
    """Is asked before a link's call, and told how it ended."""

    def check(self) -> None:
        """Raise ProviderError when the call would only fail as another has just failed."""

    def answered(self) -> None:
        """The call gave an answer."""

    def failed(self, error: ProviderError, *, begun: bool) -> None:
        """The call failed; `begun` when part of the answer was already out. May raise instead."""


@dataclass(slots=True)
class _Attempt:
    """One call under way: the room it holds, and what is known of its use."""

    reservation: Reservation
    estimate: int
    used: int = 0
    begun: bool = False

    def note(self, generation: ChatGeneration) -> None:
        self.used += answers.used_tokens(generation.message)

    async def settle(self, *, failed: bool) -> None:
        if failed and not self.begun and not self.used:
            await self.reservation.release()
        else:
            await self.reservation.commit(self.used or self.estimate)


class Link(AsyncChatModel):
    """One provider's model; asynchronous only.

    Each call holds room in the model's limits or fails at once. Chunks are held back until one
    says something, so that a stream that dies before can still be answered by another model.
    Raises ProviderError for everything that the vendor's class raises, and for empty answers.
    """

    backend: SkipValidation[Backend] = Field(exclude=True)
    limiter: SkipValidation[Limiter] = Field(exclude=True)
    clock: Callable[[], datetime] = Field(exclude=True)
    watch: SkipValidation[Watch | None] = Field(default=None, exclude=True)

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
            history = answers.restore_marks(messages)
            async with asyncio.timeout(self.backend.timeout_s):
                # The inner method itself: its public door would report every call a second time
                result = await inner._agenerate(history, stop=stop, **options)  # noqa: SLF001
            generation = result.generations[0]
            attempt.note(generation)
            self._check_answer(
                said=answers.is_answer(generation.message),
                reason=answers.finish_reason(generation),
            )
            self._sign(generation)
            return ChatResult(generations=[generation])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with self._attempt(messages, kwargs) as attempt:
            inner, options = await self._to_vendor(kwargs)
            history = answers.restore_marks(messages)
            held: list[ChatGenerationChunk] = []
            reason = ""
            async with aclosing(self._chunks(inner, history, stop, options)) as chunks:
                async for chunk in chunks:
                    attempt.note(chunk)
                    reason = answers.finish_reason(chunk) or reason
                    held.append(chunk)
                    if not attempt.begun and answers.says_something(chunk.message):
                        attempt.begun = True
                        self._sign(held[0])
                    if attempt.begun:
                        for ready in held:
                            yield ready
                        held.clear()
            self._check_answer(said=attempt.begun, reason=reason)

    async def _chunks(
        self,
        inner: BaseChatModel,
        history: list[BaseMessage],
        stop: list[str] | None,
        options: Keywords,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """The vendor's chunks without its marks, each within the time limit."""
        stream = inner._astream(history, stop=stop, **options)  # noqa: SLF001 # see _agenerate
        while True:
            async with asyncio.timeout(self.backend.timeout_s):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            answers.strip_marks(chunk)
            yield chunk

    async def _to_vendor(self, options: Mapping[str, object]) -> tuple[BaseChatModel, Keywords]:
        inner = await self.backend.chat_model()
        return to_vendor(inner, self.backend.provider.api, self.backend.base_url, options)

    def _sign(self, generation: ChatGeneration) -> None:
        answers.strip_marks(generation)
        model = self.backend.model
        answers.sign(
            generation.message,
            provider=model.provider,
            model=model.id,
            dialect=MARKS[self.backend.provider.api],
        )

    def _check_answer(self, *, said: bool, reason: str) -> None:
        if said:
            return
        if reason in {"content_filter", "safety", "prohibited_content", "blocklist", "recitation"}:
            raise self._error(ErrorKind.CONTENT_FILTER, "the provider's filter held the answer")
        if reason == "malformed_function_call":
            raise self._error(ErrorKind.BAD_TOOL_CALL, "the model wrote a tool call without form")
        ended = f" (it ended with {reason})" if reason else ""
        raise self._error(ErrorKind.EMPTY, f"the answer was empty{ended}")

    def _error(self, kind: ErrorKind, message: str) -> ProviderError:
        model = self.backend.model
        return ProviderError(
            model.provider, model.id, ProviderFault(kind, ErrorScope.REQUEST, message)
        )

    @asynccontextmanager
    async def _attempt(
        self, messages: Sequence[BaseMessage], options: Mapping[str, object]
    ) -> AsyncIterator[_Attempt]:
        """Hold room for a call, turn what goes wrong into ProviderError, settle what was used."""
        estimate = answers.estimate_tokens(messages, options)
        attempt = _Attempt(await self._reserve(estimate), estimate)
        failed = False
        try:
            yield attempt
        except ProviderError as error:
            failed = True
            self._tell(error, begun=attempt.begun)
            raise
        except Exception as error:  # a vendor's class raises whatever its parts raise
            failed = True
            classified = self._classified(error)
            self._tell(classified, begun=attempt.begun)
            raise classified from error
        else:
            if self.watch is not None:
                self.watch.answered()
        finally:
            await attempt.settle(failed=failed)

    async def _reserve(self, estimate: int) -> Reservation:
        model = self.backend.model
        if self.watch is not None:
            self.watch.check()
        try:
            if model.context is not None and estimate > model.context:
                message = f"about {estimate} tokens are more than its context of {model.context}"
                raise self._error(ErrorKind.TOO_LARGE, message)
            return await self.limiter.reserve(model, estimate, account=self.backend.account)
        except ProviderError as error:
            self._tell(error, begun=False)
            raise

    def _classified(self, error: Exception) -> ProviderError:
        model = self.backend.model
        return classify(error, provider=model.provider, model=model.id, now=self.clock())

    def _tell(self, error: ProviderError, *, begun: bool) -> None:
        if self.watch is not None:
            self.watch.failed(error, begun=begun)
