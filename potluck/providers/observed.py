"""A chain that is watched: one span for each call of it, and a word on who answered in the end."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Literal, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from opentelemetry.trace import Span

from potluck import telemetry
from potluck.errors import ChainError, ProviderError
from potluck.providers.async_runnable import AsyncRunnable, Keywords
from potluck.providers.catalog import OFFLINE
from potluck.providers.course import Course

ChainOutcome = Literal["first", "fallback", "offline", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """How one call of a chain ended: answered by the `first` model asked, by another, or not.

    `passed` are the failures of those that were asked before, or had no room.
    """

    task_type: str
    outcome: ChainOutcome
    passed: tuple[ProviderError, ...]
    duration_s: float


Listener = Callable[[ChainRecord], None]


class Observed(AsyncRunnable[LanguageModelInput, AIMessage]):
    """Passes every call on, and tells the listeners how it ended. Raises what the chain raises."""

    def __init__(
        self,
        inner: Runnable[LanguageModelInput, AIMessage],
        course: Course,
        listeners: Sequence[Listener],
    ) -> None:
        self._inner = inner
        self._course = course
        self._listeners = listeners

    async def _answer(
        self, asked: LanguageModelInput, config: RunnableConfig | None, keywords: Keywords
    ) -> AIMessage:
        with self._watched() as watch:
            with telemetry.current(watch.span):
                answer = await self._inner.ainvoke(asked, config, **keywords)
            watch.hear(answer)
            return answer

    async def _stream(
        self, asked: LanguageModelInput, config: RunnableConfig | None, keywords: Keywords
    ) -> AsyncGenerator[AIMessage]:
        inner = cast("AsyncGenerator[AIMessage]", self._inner.astream(asked, config, **keywords))
        with self._watched() as watch:
            async with (
                aclosing(inner),
                aclosing(telemetry.each_within(watch.span, inner)) as chunks,
            ):
                async for chunk in chunks:
                    watch.hear(chunk)
                    yield chunk

    @contextmanager
    def _watched(self) -> Iterator["_Watch"]:
        """A call, of whose end the listeners are told however it ends."""
        watch = _Watch(self._course, self._listeners)
        try:
            yield watch
            watch.is_whole = True
        except Exception as error:
            watch.error = error
            raise
        finally:
            watch.end()


class _Watch:
    """One call on its way."""

    def __init__(self, course: Course, listeners: Sequence[Listener]) -> None:
        self.error: Exception | None = None
        self.is_whole = False
        self._course = course
        self._listeners = listeners
        self._began_s = monotonic()
        self._writer: tuple[str, str] | None = None
        terms = course.terms
        self.span: Span = telemetry.begin(
            "chain", {"potluck.task_type": terms.task_type, "potluck.priority": terms.priority}
        )

    def hear(self, message: AIMessage) -> None:
        """Keep who has written it, which its last chunk tells."""
        marks = message.response_metadata
        if marks.get("model_provider"):
            self._writer = str(marks["model_provider"]), str(marks.get("model_name", ""))

    def end(self) -> None:
        """Tell how it ended."""
        passed = (*self._course.met, *self._course.refused.values())
        outcome = self._outcome(passed)
        record = ChainRecord(
            self._course.terms.task_type, outcome, passed, monotonic() - self._began_s
        )
        for listen in self._listeners:
            listen(record)
        if self.span.is_recording():
            self._describe(record)
        self.span.end()

    def _outcome(self, passed: Sequence[ProviderError]) -> ChainOutcome:
        if self.error is not None:
            return "failed"
        if not self.is_whole:
            return "cancelled"
        if self._writer is not None and self._writer[0] == OFFLINE:
            return "offline"
        return "fallback" if passed else "first"

    def _describe(self, record: ChainRecord) -> None:
        span = self.span
        span.set_attribute("potluck.outcome", record.outcome)
        span.set_attribute("potluck.passed", len(record.passed))
        if self._writer is not None:
            span.set_attribute("potluck.provider", self._writer[0])
            span.set_attribute(telemetry.RESPONSE_MODEL, self._writer[1])
        if self.error is not None:
            telemetry.fail(span, _kind_of(self.error))


def _kind_of(error: Exception) -> str:
    if isinstance(error, ChainError) and error.attempts:
        return error.attempts[-1].kind.value
    return type(error).__name__
