"""A chain behind the cache: what was asked before is not asked again."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from potluck.cache.entry import Entry
from potluck.cache.key import Conditions, family_of, is_of_family, request_key
from potluck.cache.responses import Asker, CacheMode, Question, ResponseCache
from potluck.cache.store import CacheOptions
from potluck.providers.async_runnable import AsyncRunnable, Keywords
from potluck.providers.catalog import Optimization
from potluck.providers.replay import Replay, entry_of
from potluck.quota.calls import CallRecord, Recorder
from potluck.quota.windows import Priority

Answering = Runnable[LanguageModelInput, AIMessage]


class CacheableCall(Protocol):
    """What the cache needs to know of a call."""

    @property
    def task_type(self) -> str: ...  # noqa: D102 - see Call
    @property
    def prefer(self) -> str | None: ...  # noqa: D102 - see Call
    @property
    def only(self) -> str | None: ...  # noqa: D102 - see Call
    @property
    def priority(self) -> Priority: ...  # noqa: D102 - see Call
    @property
    def thread(self) -> str | None: ...  # noqa: D102 - see Call
    @property
    def tenant(self) -> str: ...  # noqa: D102 - see Call
    @property
    def cache(self) -> CacheMode: ...  # noqa: D102 - see Call
    @property
    def parts(self) -> int: ...  # noqa: D102 - see Call


@dataclass(frozen=True, slots=True)
class Desk:
    """What all cached chains share: the cache, who takes notes, and the time."""

    cache: ResponseCache
    clock: Callable[[], datetime]
    recorder: Recorder


def cache_options(policy: Optimization) -> CacheOptions:
    """The cache's options as limits.yaml gives them."""
    return CacheOptions(
        enabled=policy.enable_caching,
        ttl=timedelta(hours=policy.cache_ttl_hours),
        max_bytes=int(policy.cache_max_megabytes * 2**20),
    )


def cached(
    ask: Callable[[], Answering], call: CacheableCall, desk: Desk, *, options: Mapping[str, object]
) -> Answering:
    """What `ask` makes, behind the cache; `options` are those that it passes to its models.

    A stored answer comes as a stream like any other, marked `cached`, without usage; nothing is
    made for it. Calls that the cache is not for pass it by.
    """
    if not _is_for(call, desk.cache, options):
        return ask()
    return CachedChain(ask, call, desk, options)


def _is_for(call: CacheableCall, cache: ResponseCache, options: Mapping[str, object]) -> bool:
    if not cache.options.enabled or call.cache == "off":
        return False
    heat = options.get("temperature")
    return call.cache == "always" or not isinstance(heat, int | float) or heat <= 0


class CachedChain(AsyncRunnable[LanguageModelInput, AIMessage]):
    """Asks the cache first. Raises what the chain raises."""

    def __init__(
        self,
        ask: Callable[[], Answering],
        call: CacheableCall,
        desk: Desk,
        options: Mapping[str, object],
    ) -> None:
        self._ask = ask
        self._call = call
        self._desk = desk
        self._options = options
        self._family = family_of(call.only or call.prefer)

    async def _answer(
        self, asked: LanguageModelInput, config: RunnableConfig | None, keywords: Keywords
    ) -> AIMessage:
        began_s = asyncio.get_running_loop().time()
        question = self._question(asked, config, keywords)
        if question is None:
            return await self._ask().ainvoke(asked, config, **keywords)
        async with self._desk.cache.turn(question) as turn:
            if turn.entry is not None:
                answer = await Replay(entry=turn.entry).ainvoke(asked, config)
                self._note(turn.entry, began_s, first_s=None)
                return answer
            answer = await self._ask().ainvoke(asked, config, **keywords)
            entry = self._entry(answer)
            if entry is not None:
                turn.keep(entry)
            return answer

    def _stream(
        self, asked: LanguageModelInput, config: RunnableConfig | None, keywords: Keywords
    ) -> AsyncGenerator[AIMessage]:
        question = self._question(asked, config, keywords)
        if question is None:
            return _generator(self._ask().astream(asked, config, **keywords))
        return self._stream_for(question, asked, config, keywords)

    async def _stream_for(
        self,
        question: Question,
        asked: LanguageModelInput,
        config: RunnableConfig | None,
        keywords: Keywords,
    ) -> AsyncGenerator[AIMessage]:
        began_s = asyncio.get_running_loop().time()
        async with self._desk.cache.turn(question) as turn:
            if turn.entry is not None:
                stream = _generator(Replay(entry=turn.entry).astream(asked, config))
            else:
                stream = _generator(self._ask().astream(asked, config, **keywords))
            first_s: float | None = None
            said: list[AIMessageChunk] = []
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    first_s = _since(began_s) if first_s is None else first_s
                    if turn.entry is None and isinstance(chunk, AIMessageChunk):
                        said.append(chunk)
                        entry = self._last_word(said)
                        if entry is not None:
                            turn.keep(entry)
                    turn.rest()
                    yield chunk
                    turn.go_on()
            if turn.entry is not None:
                self._note(turn.entry, began_s, first_s=first_s)

    def _question(
        self, asked: LanguageModelInput, config: RunnableConfig | None, keywords: Keywords
    ) -> Question | None:
        """The call as the cache takes it; None when it cannot tell what is asked."""
        key = request_key(
            _messages(asked),
            {**self._options, **keywords},
            Conditions(self._call.tenant, self._family),
        )
        if key is None:
            return None
        return Question(
            key,
            self._asker(config),
            anew=self._call.cache == "refresh",
            priority=self._call.priority,
        )

    def _asker(self, config: RunnableConfig | None) -> Asker:
        """The thread that asks, and the task of its graph, which keeps its name if done again."""
        told = ensure_config(config)
        thread = self._call.thread or told.get("configurable", {}).get("thread_id")
        task = told.get("metadata", {}).get("langgraph_checkpoint_ns")
        return Asker(str(thread) if thread else None, str(task) if task else None)

    def _last_word(self, said: Sequence[AIMessageChunk]) -> Entry | None:
        """What to keep of the answer once its last chunk is there."""
        if said[-1].chunk_position != "last":
            return None
        return self._entry(said[0] + list(said[1:]) if len(said) > 1 else said[0])

    def _entry(self, answer: AIMessage) -> Entry | None:
        """What to keep of the answer; nothing when another model answered than was wished for."""
        entry = entry_of(answer)
        if entry is None or self._call.only is not None or not self._family:
            return entry
        wished_for = is_of_family(self._family, provider=entry.provider, model=entry.model)
        return entry if wished_for else None

    def _note(self, entry: Entry, began_s: float, *, first_s: float | None) -> None:
        took_s = _since(began_s)
        self._desk.recorder.note(
            CallRecord(
                at=self._desk.clock(),
                provider=entry.provider,
                model=entry.model,
                key_id="",
                task_type=self._call.task_type,
                priority=self._call.priority,
                outcome="cached",
                input_tokens=entry.input_tokens,
                output_tokens=entry.output_tokens,
                first_token_s=took_s if first_s is None else first_s,
                duration_s=took_s,
                parts=self._call.parts,
                tenant=self._call.tenant,
            )
        )


def _since(began_s: float) -> float:
    return asyncio.get_running_loop().time() - began_s


def _messages(asked: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(asked, PromptValue):
        return asked.to_messages()
    return [HumanMessage(asked)] if isinstance(asked, str) else convert_to_messages(asked)


def _generator(stream: AsyncIterator[AIMessage]) -> AsyncGenerator[AIMessage]:
    """The stream as what it is: closing it is what ends a call."""
    return cast("AsyncGenerator[AIMessage]", stream)
