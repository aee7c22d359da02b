"""Models that answer from a script, in place of the vendors' classes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field, SecretStr

from potluck.providers.backend import Backend
from potluck.providers.catalog import Catalog, Model, Provider, ProviderStatus
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.chain import Chain
from potluck.quota.budgets import Budgets
from potluck.quota.calls import CallRecord
from potluck.quota.limiter import QuotaLimiter
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.waiting import Lines

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class FakeClock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def sleep(self, seconds: float) -> None:
        """Time passes at once, but others get their turn before and after."""
        await asyncio.sleep(0)
        self.advance(seconds=seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Stall:
    """The stream says nothing for longer than anyone waits."""


@dataclass(frozen=True)
class Cut:
    """The stream ends here, as if all were well, without a word on why."""


Piece = AIMessageChunk | Exception | Stall | Cut


class ScriptedModel(BaseChatModel):
    """Each call plays the next reply: a message, chunks with errors among them, or an error."""

    replies: list[Any] = Field(default_factory=list)
    calls: list[tuple[list[BaseMessage], dict[str, Any]]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(vendor_tools=list(tools), vendor_choice=tool_choice, **kwargs)

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        raise AssertionError("the synchronous method was called")

    def _next(self, messages: list[BaseMessage], options: dict[str, Any]) -> list[Piece]:
        self.calls.append((messages, options))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply if isinstance(reply, list) else [reply]

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        assert run_manager is None, "the inner model's callbacks are off"
        whole: AIMessageChunk | None = None
        for piece in self._next(messages, {"stop": stop, **kwargs}):
            chunk = await _play(piece)
            whole = chunk if whole is None else whole + chunk
        assert whole is not None
        message = AIMessage(
            **whole.model_dump(
                exclude={"type", "tool_call_chunks", "tool_calls", "invalid_tool_calls"}
            ),
            **(_read_calls(whole) if whole.tool_call_chunks else {"tool_calls": whole.tool_calls}),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        assert run_manager is None, "the inner model's callbacks are off"
        pieces = self._next(messages, {"stop": stop, **kwargs})
        for piece in pieces:
            if isinstance(piece, Cut):
                return
            yield ChatGenerationChunk(message=await _play(piece))
        if not any(_tells_why(piece) for piece in pieces):
            end = AIMessageChunk(content="", response_metadata={"finish_reason": "stop"})
            yield ChatGenerationChunk(message=end)


def _read_calls(chunk: AIMessageChunk) -> dict[str, Any]:
    """The calls as vendors' classes read them from an answer that is not streamed."""
    good, bad = [], []
    for made in chunk.tool_call_chunks:
        try:
            arguments = json.loads(made["args"] or "")
        except ValueError:
            bad.append({"name": made["name"], "args": made["args"], "id": made["id"], "error": ""})
        else:
            good.append({"name": made["name"], "args": arguments, "id": made["id"]})
    return {"tool_calls": good, "invalid_tool_calls": bad}


def _tells_why(piece: Piece) -> bool:
    return isinstance(piece, AIMessageChunk) and "finish_reason" in piece.response_metadata


async def _play(piece: Piece) -> AIMessageChunk:
    if isinstance(piece, AIMessageChunk):
        return piece.model_copy(deep=True)
    if isinstance(piece, Exception):
        raise piece
    await asyncio.sleep(10)
    return AIMessageChunk(content="nobody waits that long")


def say(text: str, *, tokens: int = 0, **facts: Any) -> AIMessageChunk:
    usage = (
        {"input_tokens": tokens - 1, "output_tokens": 1, "total_tokens": tokens} if tokens else None
    )
    return AIMessageChunk(content=text, usage_metadata=usage, **facts)


@dataclass
class World:
    """A catalog of scripted models and the chain over it."""

    clock: FakeClock = field(default_factory=FakeClock)
    providers: dict[str, Provider] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    off: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, ScriptedModel] = field(default_factory=dict)
    stall: Stall = field(default_factory=Stall)
    cut: Cut = field(default_factory=Cut)
    records: list[CallRecord] = field(default_factory=list)
    limiter: QuotaLimiter | None = None

    def note(self, record: CallRecord) -> None:
        self.records.append(record)

    def add(
        self, ref: str, *replies: Any, provider: dict[str, Any] | None = None, **model: Any
    ) -> ScriptedModel:
        provider_id, _, model_id = ref.partition("/")
        made = Model(provider=provider_id, id=model_id, **model)
        known = self.providers.get(provider_id)
        facts = {"id": provider_id, "api": "groq", "base_url": None, "api_key_env": ()}
        models = (*known.models, made) if known else (made,)
        self.providers[provider_id] = Provider(**{**facts, "models": models, **(provider or {})})
        self.scripts[ref] = ScriptedModel(replies=list(replies) or [say(f"I am {ref}.")])
        return self.scripts[ref]

    def backend(self, ref: str, *, timeout_s: float = 5.0) -> Backend:
        provider = self.providers[ref.partition("/")[0]]
        model = next(m for m in provider.models if m.ref == ref)
        backend = Backend(provider, model, None, None, timeout_s=timeout_s, silence_s=timeout_s)
        backend._built = self.scripts[ref]
        return backend

    def chain(self, **catalog: Any) -> Chain:
        statuses = [
            ProviderStatus(
                provider,
                on=provider.id not in self.off,
                reason=self.off.get(provider.id, "key set"),
                keys=tuple(SecretStr(f"key-{n}") for n in range(self.keys.get(provider.id, 1))),
            )
            for provider in self.providers.values()
        ]
        made = Catalog(self.providers, **{"routes": {}, **catalog})
        self.limiter = QuotaLimiter(
            Budgets(rules_of(made)),
            MemoryLedger(self.clock),
            clock=self.clock,
            lines=Lines(self.clock.sleep),
        )
        chain = Chain(
            made,
            statuses,
            self.limiter,
            clock=self.clock,
            recorder=self,
            sleep=self.clock.sleep,
        )
        for link in chain._links:
            link.backend._built = self.scripts[link.backend.model.ref]
        return chain


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)


@pytest.fixture
def speak() -> Callable[..., AIMessageChunk]:
    return say
