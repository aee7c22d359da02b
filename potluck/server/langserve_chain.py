"""The chain of models as a LangChain Runnable, without the agent: what LangServe serves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import ConfigurableFieldSpec, Runnable, RunnableConfig, RunnableLambda
from pydantic import BaseModel

from potluck import engine
from potluck.errors import ChainError
from potluck.providers import answers
from potluck.providers.async_runnable import AsyncRunnable, Keywords
from potluck.providers.chain import Call, Chain
from potluck.server.langserve_batch import run_batch
from potluck.server.langserve_config import Asker, ChainConfig
from potluck.server.langserve_wire import ChainInput, ChainOutput

SHORTEST_WAIT_S = 1.0

Messages = list[BaseMessage]


class ModelChain(RunnableLambda[Messages, AIMessage]):
    """Asks the models that fit, one after the other, until one answers; keeps no conversation."""

    def __init__(self) -> None:
        super().__init__(_chosen, name="chain")  # type: ignore[arg-type] # what it returns is run in turn

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """The fields that a caller may set in `configurable`."""
        return ChainConfig.specs()

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:  # noqa: ARG002 - LangChain's signature
        """Every form of messages, with a reason when it is none of them."""
        return ChainInput

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:  # noqa: ARG002 - LangChain's signature
        """The model's message."""
        return ChainOutput

    async def abatch(
        self,
        inputs: list[Messages],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,  # Any: Runnable's own signature
    ) -> list[AIMessage]:
        """The answers in the order of the inputs. Raises BatchError."""
        if return_exceptions:
            return await super().abatch(inputs, config, return_exceptions=True, **kwargs)
        return await run_batch(self, inputs, config)


async def _chosen(_: Messages, config: RunnableConfig) -> Runnable[Messages, AIMessage]:
    """What answers in the way that this call is configured; LangChain hands it the messages."""
    configurable = config.get("configurable", {})
    given, asker = ChainConfig.of(configurable), Asker.of(configurable)
    used = await engine.current()
    call = Call(
        task_type=given.task_type,
        prefer=given.model or None,
        private=given.privacy == "private",
        priority=given.priority_for(asker),
        thread=given.thread_id or None,
        tenant=asker.tenant,
        cache=asker.cache,
    )
    return WaitingChain(used.chain, call, wait_limit_s=used.catalog.parking.wait_limit_seconds)


class WaitingChain(AsyncRunnable[Messages, AIMessage]):
    """The chain for one call, asked again when quota is back within `wait_limit_s`.

    Nothing is asked again once the answer has begun. Raises ChainError.
    """

    def __init__(self, chain: Chain, call: Call, *, wait_limit_s: float) -> None:
        self._chain = chain
        self._call = call
        self._left_s = wait_limit_s

    async def _answer(
        self, asked: Messages, config: RunnableConfig | None, keywords: Keywords
    ) -> AIMessage:
        while True:
            try:
                chain = self._chain.runnable(self._call)
                return plain(await chain.ainvoke(asked, config, **keywords))
            except ChainError as error:
                await self._wait(error)

    async def _stream(
        self, asked: Messages, config: RunnableConfig | None, keywords: Keywords
    ) -> AsyncGenerator[AIMessage]:
        has_begun = False
        while True:
            stream: Any = self._chain.runnable(self._call).astream(asked, config, **keywords)
            try:
                # Any: typed as an iterator; closed at once when left, for that ends the call
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        has_begun = True
                        yield plain(chunk)
            except ChainError as error:
                if has_begun:
                    raise
                await self._wait(error)
            else:
                return

    async def _wait(self, error: ChainError) -> None:
        """Wait until quota is back. Raises the error when it is not for want of quota, or long."""
        wait_s = _wait_s(error)
        if wait_s is None or wait_s > self._left_s:
            raise error
        self._left_s -= wait_s
        await asyncio.sleep(wait_s)


def plain[Message: AIMessage](message: Message) -> Message:
    """The same message with its text as a string, whichever blocks its provider sent it in.

    What the model thought aloud is `reasoning_content` in `additional_kwargs`, as many send it.
    """
    if isinstance(message.content, str):
        return message
    thoughts = answers.thoughts_in(message.content)
    kept = {**message.additional_kwargs, **({"reasoning_content": thoughts} if thoughts else {})}
    return message.model_copy(update={"content": str(message.text), "additional_kwargs": kept})


def _wait_s(error: ChainError) -> float | None:
    if not error.is_quota or error.back_at is None:
        return None
    return max(SHORTEST_WAIT_S, (error.back_at - datetime.now(UTC)).total_seconds())
