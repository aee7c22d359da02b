"""A chain's calls in spans, and who answered, as listeners are told."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from potluck.errors import ChainError, ErrorKind
from potluck.providers.chain import Call
from potluck.providers.observed import ChainRecord, Observed
from tests.collected import Spans, collected

STREAMED = pytest.mark.parametrize("streamed", [False, True])


@pytest.fixture
def spans() -> Iterator[Spans]:
    with collected() as kept:
        yield kept


async def ask(chain: Any, *, streamed: bool, **call: Any) -> str:
    runnable = chain.runnable(Call(**call))
    if not streamed:
        return str((await runnable.ainvoke("my diary")).text)
    return "".join([str(chunk.text) async for chunk in runnable.astream("my diary")])


def listened(chain: Any) -> list[ChainRecord]:
    told: list[ChainRecord] = []
    chain.listeners.append(told.append)
    return told


def test_a_chain_that_nobody_watches_is_as_it_was(world: Any) -> None:
    world.add("a/1")
    assert not isinstance(world.chain().runnable(Call()), Observed)


@STREAMED
async def test_the_first_model_that_answers_is_the_first(world: Any, streamed: bool) -> None:
    world.add("a/1")
    chain = world.chain()
    told = listened(chain)
    assert await ask(chain, streamed=streamed, task_type="simple_task") == "I am a/1."
    assert [(one.outcome, one.task_type, one.passed) for one in told] == [
        ("first", "simple_task", ())
    ]


@STREAMED
async def test_an_answer_after_a_failure_is_a_fallback(
    world: Any, speak: Callable[..., Any], streamed: bool
) -> None:
    world.add("a/1", speak(""))
    world.add("b/2")
    chain = world.chain()
    told = listened(chain)
    await ask(chain, streamed=streamed)
    [record] = told
    assert record.outcome == "fallback"
    assert [(one.provider, one.kind) for one in record.passed] == [("a", ErrorKind.EMPTY)]


@STREAMED
async def test_a_call_that_nobody_answers_has_failed(
    world: Any, speak: Callable[..., Any], streamed: bool, spans: Spans
) -> None:
    world.add("a/1", speak(""))
    chain = world.chain()
    told = listened(chain)
    with pytest.raises(ChainError):
        await ask(chain, streamed=streamed, only="a/1")
    assert [one.outcome for one in told] == ["failed"]
    assert spans.one("chain").status.status_code is StatusCode.ERROR


async def test_a_stream_that_is_left_is_cancelled(
    world: Any, speak: Callable[..., Any], spans: Spans
) -> None:
    world.add("a/1", [speak("one "), speak("two")])
    chain = world.chain()
    told = listened(chain)
    stream = chain.runnable(Call()).astream("hi")
    await anext(stream)
    await stream.aclose()
    assert [one.outcome for one in told] == ["cancelled"]
    # LangChain leaves the closing of what stands behind to the event loop
    async with asyncio.timeout(1):
        while "chat 1" not in spans.names():  # noqa: ASYNC110 # nothing tells of it
            await asyncio.sleep(0)
    assert (spans.one("chat 1").attributes or {})["error.type"] == "cancelled"


@STREAMED
async def test_each_attempt_is_a_span_under_the_chains(
    world: Any, speak: Callable[..., Any], streamed: bool, spans: Spans
) -> None:
    world.add("a/1", speak(""))
    world.add("google_gemini/2", speak("Here.", tokens=7))
    await ask(world.chain(), streamed=streamed, params={"temperature": 0.5}, thread="t")
    assert spans.names() == ["chat 1", "chat 2", "chain"]
    assert spans.parent_of("chat 1") == spans.parent_of("chat 2") == "chain"
    failed, answered = spans.one("chat 1"), spans.one("chat 2")
    assert failed.status.status_code is StatusCode.ERROR
    told = dict(answered.attributes or {})
    told.pop("gen_ai.response.time_to_first_chunk", None)
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "2",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.conversation.id": "t",
        "gen_ai.usage.input_tokens": 6,
        "gen_ai.usage.output_tokens": 1,
        "potluck.provider": "google_gemini",
        "potluck.account": world.limiter and told["potluck.account"],
        "potluck.task_type": "general",
        "potluck.priority": "interactive",
    }
    chain = dict(spans.one("chain").attributes or {})
    assert chain["potluck.outcome"] == "fallback"
    assert chain["gen_ai.response.model"] == "2"


async def test_spans_hold_nothing_that_was_said(
    world: Any, speak: Callable[..., Any], spans: Spans
) -> None:
    world.add("a/1", RuntimeError("no to: my diary"))
    world.add("b/2", speak("Dear diary"))
    await ask(world.chain(), streamed=True)
    assert len(spans.all()) == 3
    assert "diary" not in spans.told()
