"""Potluck's chain, its whole agent, and plain LangChain fallbacks, as contenders."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langchain_core.runnables import Runnable
from pydantic import SecretStr

from benchmarks.failover_turns import CALCULATOR, Answer, Place, ToolUse, Turn, check_call
from graph.agent import graph
from graph.state import Input
from potluck.engine import Engine, use_engine
from potluck.errors import ChainError
from potluck.events import AUDIENCE_KEY
from potluck.providers.catalog import OFFLINE, Api, Catalog, Model, Provider, ProviderStatus
from potluck.providers.chain import Call, Chain
from potluck.providers.vendors import build_chat_model, close_chat_model
from potluck.quota.limiter import NoLimiter
from potluck.settings import Settings

KEY = SecretStr("made-up")
WARM_UP = "Is anybody there?"

type Asked = Runnable[LanguageModelInput, AIMessage]


class OfflineAnswerError(Exception):
    """No model answered: what came is the offline model's apology."""


class StreamDiffersError(Exception):
    """What was streamed to the reader is not what the thread holds in the end."""


class LangChainContender:
    """Asks whatever runnable `make` gives for one call."""

    def __init__(self, make: Callable[[], Asked]) -> None:
        self._make = make

    def question(self, text: str) -> object:
        """A HumanMessage."""
        return HumanMessage(text)

    def result(self, call: ToolUse, text: str) -> object:
        """A ToolMessage."""
        return ToolMessage(text, tool_call_id=call.id, name=call.name)

    async def ask(self, history: Sequence[object], *, streamed: bool) -> Answer:
        """Ask once; a streamed text is what a reader of the chunks has seen."""
        messages = cast("list[AnyMessage]", history)
        if not streamed:
            message = await self._make().ainvoke(messages)
            return _checked(message, str(message.text))
        texts: list[str] = []
        whole: AIMessageChunk | None = None
        async for chunk in self._make().astream(messages):
            texts.append(str(chunk.text))
            part = cast("AIMessageChunk", chunk)
            whole = part if whole is None else whole + part
        if whole is None:
            return Answer("", (), AIMessage(""))
        return _checked(cast("AIMessage", message_chunk_to_message(whole)), "".join(texts))


@contextlib.asynccontextmanager
async def potluck(
    places: Sequence[Place], *, limit_s: float, warm: bool = True
) -> AsyncIterator[LangChainContender]:
    """Potluck's chain over these places, each with so much time; nothing is known to be out.

    If `warm`, each of them is asked once before.
    """
    chain = make_chain(places, limit_s=limit_s)
    try:
        if warm:
            await _warm(chain, places)
        yield LangChainContender(lambda: chain.runnable(Call(tools=(CALCULATOR,))))
    finally:
        await chain.aclose()


@contextlib.asynccontextmanager
async def fallbacks(
    places: Sequence[Place], *, limit_s: float, warm: bool = True
) -> AsyncIterator[LangChainContender]:
    """The same classes, joined by nothing but `with_fallbacks`; their own retries are off."""
    models = [vendor_model(place, limit_s=limit_s) for place in places]
    first, *others = (model.bind_tools([CALCULATOR]) for model in models)
    joined = first.with_fallbacks(others)
    try:
        if warm:
            warmed = (model.ainvoke(WARM_UP) for model in models)
            await asyncio.gather(*warmed, return_exceptions=True)
        yield LangChainContender(lambda: joined)
    finally:
        for model in models:
            await close_chat_model(model)


@dataclass(frozen=True, slots=True)
class Agent:
    """The whole graph over Potluck's chain."""

    engine: Engine

    async def answer(self, turn: Turn) -> str:
        """The answer to the turn; a streamed one is what a reader of the stream has seen."""
        state = Input(messages=[HumanMessage(turn.request)])
        shown: list[str] = []
        messages: list[AnyMessage] = []
        with use_engine(self.engine):
            async for mode, event in graph.astream(state, stream_mode=["messages", "values"]):
                if mode == "values":
                    messages = cast("dict[str, list[AnyMessage]]", event)["messages"]
                    continue
                chunk, metadata = cast("tuple[AnyMessage, dict[str, object]]", event)
                if isinstance(chunk, AIMessageChunk) and metadata.get(AUDIENCE_KEY) == "user":
                    shown.append(str(chunk.text))
        calls = [use for m in messages if isinstance(m, AIMessage) for use in _checked(m, "").calls]
        if turn.kind == "tool" or calls:
            check_call(calls, turn)
        answer = str(messages[-1].text)
        if "".join(shown) != answer:
            raise StreamDiffersError
        return answer


@contextlib.asynccontextmanager
async def agent(places: Sequence[Place], *, limit_s: float) -> AsyncIterator[Agent]:
    """The graph, with an engine of its own in a folder that goes away."""
    catalog, statuses = _catalog(places)
    chain = make_chain(places, limit_s=limit_s)
    with tempfile.TemporaryDirectory(prefix="potluck-bench-") as home:
        settings = Settings(potluck_home=Path(home))
        try:
            await _warm(chain, places)
            yield Agent(Engine(settings, catalog, tuple(statuses), chain))
        finally:
            await chain.aclose()


def make_chain(places: Sequence[Place], *, limit_s: float) -> Chain:
    """A chain that asks these places in this order, whatever the task."""
    catalog, statuses = _catalog(places)
    return Chain(catalog, statuses, NoLimiter(), clock=_now, timeout_s=limit_s)


def vendor_model(place: Place, *, limit_s: float) -> BaseChatModel:
    """The bare LangChain class for a place."""
    provider = _provider(place)
    return build_chat_model(
        provider, provider.models[0], api_key=KEY, base_url=place.base_url, timeout_s=limit_s
    )


def _catalog(places: Sequence[Place]) -> tuple[Catalog, list[ProviderStatus]]:
    statuses = [
        ProviderStatus(
            _provider(place), on=True, reason="simulated", keys=(KEY,), base_url=place.base_url
        )
        for place in places
    ]
    return Catalog({status.provider.id: status.provider for status in statuses}, {}), statuses


def _provider(place: Place) -> Provider:
    return Provider(
        id=place.provider,
        api=cast("Api", place.api),
        base_url=place.base_url,
        api_key_env=(),
        models=(Model(provider=place.provider, id=place.model),),
    )


def _checked(message: AIMessage, text: str) -> Answer:
    if message.response_metadata.get("model_provider") == OFFLINE:
        raise OfflineAnswerError
    calls = [ToolUse(str(c["id"]), c["name"], c["args"]) for c in message.tool_calls]
    calls += [ToolUse(str(c["id"]), str(c["name"]), None) for c in message.invalid_tool_calls]
    return Answer(text, tuple(calls), message)


async def _warm(chain: Chain, places: Sequence[Place]) -> None:
    """Let each model's class be made and connect: that is done once in the life of a server."""
    for place in places:
        call = Call(only=f"{place.provider}/{place.model}")
        # A machine too busy to answer in time is no reason to stop
        with contextlib.suppress(ChainError):
            await chain.runnable(call).ainvoke(WARM_UP)


def _now() -> datetime:
    return datetime.now(UTC)
