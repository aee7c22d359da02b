"""The last member of a chain: the offline model, told why, or the error that names each failure."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import Field

from potluck.errors import ChainError, ProviderError
from potluck.providers import answers
from potluck.providers.async_model import AsyncChatModel
from potluck.providers.catalog import OFFLINE
from potluck.providers.dialects import MARKS, to_vendor
from potluck.providers.draft import Draft

Attempts = Callable[[], Sequence[ProviderError]]


def build_refusal(attempts: Attempts) -> Runnable[LanguageModelInput, AIMessage]:
    """A member that answers nothing: it raises ChainError with every attempt made so far."""

    def refuse(_: LanguageModelInput) -> AIMessage:
        raise ChainError(attempts())

    async def arefuse(_: LanguageModelInput) -> AIMessage:
        raise ChainError(attempts())

    return RunnableLambda(refuse, arefuse, name="refusal")


def explain(attempts: Sequence[ProviderError]) -> str:
    """Why no LLM answers, for the person who asked."""
    if not attempts:
        return "no LLM is connected"
    return "no LLM could answer: " + "; ".join(str(attempt) for attempt in attempts)


class LastResort(AsyncChatModel):
    """The offline model, made at the time of the call, when it is known why it must answer.

    Where it `stands_in` for models that failed it changes nothing: what it does not understand of
    their work it could spoil.
    """

    attempts: Attempts = Field(exclude=True)
    stands_in: bool = False

    @property
    def _llm_type(self) -> str:
        return "potluck-offline"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:  # noqa: ARG002 # Any: BaseChatModel's own signature
        return LangSmithParams(ls_provider=OFFLINE, ls_model_name=OFFLINE, ls_model_type="chat")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> ChatResult:
        inner, options = to_vendor(self._build(), "offline", None, kwargs)
        # Nothing outside is asked, so there is nothing to time out
        result = await inner._agenerate(messages, stop=stop, **options)  # noqa: SLF001 # as in Link
        answers.strip_marks(result.generations[0])
        _sign(result.generations[0].message)
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 # the base class reports
        **kwargs: Any,  # Any: BaseChatModel's own signature
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for message in self.stream_chunks(messages, stop, kwargs):
            yield ChatGenerationChunk(message=message)

    async def stream_chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: Mapping[str, object]
    ) -> AsyncGenerator[AIMessageChunk]:
        """The answer in chunks."""
        inner, keywords = to_vendor(self._build(), "offline", None, options)
        draft = Draft()
        async for chunk in inner._astream(messages, stop=stop, **keywords):  # noqa: SLF001 # as in Link
            for ready in draft.take(chunk):
                yield ready
        held = draft.held()
        if held is not None:
            yield held
        last = AIMessageChunk(content="", chunk_position="last")
        last.response_metadata = draft.metadata
        _sign(last)
        yield last

    def _build(self) -> BaseChatModel:
        from potluck.providers.offline import OfflineModel  # noqa: PLC0415 # most chains never need it

        attempts = self.attempts()
        failure = ChainError(attempts)
        if failure.is_quota or failure.is_callers:
            # Quota comes back, and then a model can answer; and whoever made a request that nobody
            # takes as it is must know.
            raise failure
        return OfflineModel(why=explain(attempts), may_change=not self.stands_in)


def _sign(message: BaseMessage) -> None:
    answers.sign(message, provider=OFFLINE, model=OFFLINE, dialect=MARKS["offline"])
