"""What our own runnables share: asynchronous only."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from potluck.errors import PotluckError

Keywords = dict[str, Any]  # Any: Runnable's own signature


class AsyncRunnable[Asked, Answer](Runnable[Asked, Answer]):
    """Answers `ainvoke` and `astream` only, in the way that its kind says."""

    def invoke(self, *_args: Any, **_kwargs: Any) -> Answer:  # Any: nothing is read
        """Refuse: nothing here works synchronously."""
        raise PotluckError("Models are called asynchronously here.", fix="Use ainvoke or astream.")

    async def ainvoke(
        self,
        input: Asked,  # noqa: A002 # Runnable's own signature
        config: RunnableConfig | None = None,
        **kwargs: Any,  # Any: Runnable's own signature
    ) -> Answer:
        """The answer as one."""
        return await self._answer(input, config, kwargs)

    def astream(
        self,
        input: Asked,  # noqa: A002 # Runnable's own signature
        config: RunnableConfig | None = None,
        **kwargs: Any,  # Any: Runnable's own signature
    ) -> AsyncGenerator[Answer]:
        """The answer in chunks; closing the stream is what ends the call."""
        return self._stream(input, config, kwargs)

    @abstractmethod
    async def _answer(
        self, asked: Asked, config: RunnableConfig | None, keywords: Keywords
    ) -> Answer:
        """The answer as one."""

    @abstractmethod
    def _stream(
        self, asked: Asked, config: RunnableConfig | None, keywords: Keywords
    ) -> AsyncGenerator[Answer]:
        """The answer in chunks."""
