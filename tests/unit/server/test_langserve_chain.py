"""The chain's answers come in one form, and wait for quota that is soon back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import Runnable

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.chain import Call, Chain
from potluck.server.langserve_chain import ModelChain, WaitingChain, plain
from potluck.server.langserve_config import ASKER_KEY, Asker, ChainConfig


class Model(Runnable[Any, AIMessage]):
    """Fails with each error in turn, then answers; `cut` fails after a chunk."""

    def __init__(self, errors: list[ChainError], *, cut: bool = False) -> None:
        self.errors = errors
        self.cut = cut
        self.calls: list[Call] = []

    def runnable(self, call: Call) -> "Model":
        self.calls.append(call)
        return self

    def invoke(self, *_: Any, **__: Any) -> AIMessage:
        raise NotImplementedError

    async def ainvoke(self, *_: Any, **__: Any) -> AIMessage:
        if self.errors:
            raise self.errors.pop(0)
        return AIMessage([{"type": "text", "text": "hi"}])

    async def astream(self, *_: Any, **__: Any) -> AsyncIterator[AIMessage]:
        if self.errors and not self.cut:
            raise self.errors.pop(0)
        yield AIMessageChunk("h")
        if self.errors:
            raise self.errors.pop(0)
        yield AIMessageChunk("i")


def out(kind: ErrorKind, back_in_s: float | None = 0.0) -> ChainError:
    until = None if back_in_s is None else datetime.now(UTC) + timedelta(seconds=back_in_s)
    fault = ProviderFault(kind, ErrorScope.MODEL, "no", until)
    return ChainError([ProviderError("groq", "x", fault)])


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited each time; nobody does."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


def waiting(model: Model, limit_s: float = 60.0) -> WaitingChain:
    return WaitingChain(cast("Chain", model), Call(), wait_limit_s=limit_s)


Ask = Callable[[WaitingChain], Any]


async def invoked(chain: WaitingChain) -> str:
    return str((await chain.ainvoke([HumanMessage("?")])).content)


async def streamed(chain: WaitingChain) -> str:
    return "".join([str(chunk.content) async for chunk in chain.astream([HumanMessage("?")])])


@pytest.mark.parametrize("ask", [invoked, streamed])
async def test_asks_again_when_quota_is_back(ask: Ask, waits: list[float]) -> None:
    model = Model([out(ErrorKind.MINUTE, 20), out(ErrorKind.MINUTE, 0)])
    assert await ask(waiting(model)) == "hi"
    assert waits == [pytest.approx(20, abs=1), 1]
    assert len(model.calls) == 3


@pytest.mark.parametrize("ask", [invoked, streamed])
@pytest.mark.parametrize(
    "error",
    [out(ErrorKind.DAY, 3600), out(ErrorKind.NETWORK), out(ErrorKind.MINUTE, None)],
    ids=["too long", "no quota matter", "nobody knows when"],
)
async def test_does_not_wait_in_vain(ask: Ask, error: ChainError, waits: list[float]) -> None:
    with pytest.raises(ChainError):
        await ask(waiting(Model([error])))
    assert not waits


async def test_waits_no_longer_than_allowed_in_all(waits: list[float]) -> None:
    with pytest.raises(ChainError):
        await invoked(waiting(Model([out(ErrorKind.MINUTE, 40), out(ErrorKind.MINUTE, 40)])))
    assert len(waits) == 1


async def test_a_stream_that_has_begun_is_not_begun_anew(waits: list[float]) -> None:
    with pytest.raises(ChainError):
        await streamed(waiting(Model([out(ErrorKind.MINUTE)], cut=True)))
    assert not waits


def test_text_in_blocks_becomes_a_string() -> None:
    message = AIMessageChunk(
        [
            {"type": "thinking", "thinking": "Hm."},
            {"type": "text", "text": "Hello "},
            {"type": "text", "text": "you"},
        ],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    )
    made = plain(message)
    assert isinstance(made, AIMessageChunk)
    assert made.content == "Hello you"
    assert made.additional_kwargs == {"reasoning_content": "Hm."}
    assert made.usage_metadata == message.usage_metadata


def test_plain_text_stays_as_it_is() -> None:
    message = AIMessage("hi", additional_kwargs={"reasoning_content": "Hm."})
    assert plain(message) is message


@pytest.mark.parametrize(
    ("chosen", "asker", "expected"),
    [
        ({}, Asker(), "interactive"),
        ({}, Asker(in_batch=True), "batch"),
        ({"priority": "interactive"}, Asker(in_batch=True), "interactive"),
        ({"priority": "background"}, Asker(), "background"),
    ],
)
def test_batches_stand_behind_people_unless_told(
    chosen: dict[str, object], asker: Asker, expected: str
) -> None:
    assert ChainConfig.of(chosen).priority_for(asker) == expected
    assert Asker.of({ASKER_KEY: asker}) == asker


def test_a_caller_cannot_say_who_asks() -> None:
    assert Asker.of({ASKER_KEY: {"tenant": "somebody else"}}) == Asker()


def test_the_form_has_no_field_that_the_playground_cannot_draw() -> None:
    schema = ModelChain().config_schema(include=["configurable"]).model_json_schema()
    fields = schema["$defs"]["Configurable"]["properties"]
    assert set(fields) == {"thread_id", "model", "privacy", "priority", "task_type"}
    assert all(field["type"] == "string" and "description" in field for field in fields.values())
