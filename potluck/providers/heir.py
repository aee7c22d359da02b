"""A link that stands behind another model, and answers only once that one is gone."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult
from pydantic import Field

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.link import Link


class Heir(Link):
    """Stands in a chain behind the link that it may have to replace.

    While `is_due` says no it raises ProviderError at once, of which no watch is told, and the
    chain goes on to the next.
    """

    is_due: Callable[[], bool] = Field(exclude=True)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        self._check_due()
        return await super()._agenerate(messages, stop, run_manager, **kwargs)

    async def stream_chunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        options: Mapping[str, object],
        *,
        may_be_empty: bool = False,
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer in chunks, as `Link.stream_chunks` promises."""
        self._check_due()
        stream = super().stream_chunks(messages, stop, options, may_be_empty=may_be_empty)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    def _check_due(self) -> None:
        if self.is_due():
            return
        model = self.backend.model
        message = "it is kept for the time when the model before it is gone"
        fault = ProviderFault(ErrorKind.UNKNOWN, ErrorScope.REQUEST, message)
        raise ProviderError(model.provider, model.id, fault)
