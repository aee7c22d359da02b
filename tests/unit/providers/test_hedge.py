"""A model that is slow to speak is overtaken by the next one; nobody is asked without need."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Fallback, Limits
from potluck.providers.chain import Call, Chain
from potluck.providers.hedge import hedged

Say = Callable[..., AIMessageChunk]
SOON = Fallback(hedge_after_seconds=0.01)
GONE = ConnectionError("gone")


def failure(name: str) -> ProviderError:
    return ProviderError(name, "m", ProviderFault(ErrorKind.NETWORK, ErrorScope.MODEL, "gone"))


class Stream:
    """Gives its items after a while, or an error, and knows how it ended."""

    def __init__(self, *items: Any, after_s: float = 0.0) -> None:
        self.items = items
        self.after_s = after_s
        self.ended = "never begun"

    async def run(self) -> AsyncGenerator[Any]:
        self.ended = "running"
        try:
            await asyncio.sleep(self.after_s)
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                yield item
            self.ended = "done"
        finally:
            self.ended = self.ended if self.ended == "done" else "broken off"


async def race(first: Stream, second: Stream) -> list[tuple[bool, Any]]:
    return [item async for item in hedged(first.run(), second.run, after_s=0.01)]


async def test_a_quick_first_answers_alone() -> None:
    first, second = Stream("a", "b"), Stream("c")
    assert await race(first, second) == [(False, "a"), (False, "b")]
    assert (first.ended, second.ended) == ("done", "never begun")


async def test_a_slow_first_is_overtaken_and_broken_off() -> None:
    first, second = Stream("a", after_s=5), Stream("c", "d")
    assert await race(first, second) == [(True, "c"), (True, "d")]
    assert (first.ended, second.ended) == ("broken off", "done")


async def test_a_first_that_speaks_before_the_second_goes_on() -> None:
    first, second = Stream("a", after_s=0.03), Stream("c", after_s=5)
    assert await race(first, second) == [(False, "a")]
    assert second.ended == "broken off"


async def test_when_one_fails_the_other_answers() -> None:
    assert await race(Stream("a", after_s=0.03), Stream(failure("second"))) == [(False, "a")]
    late_failure = Stream(failure("first"), after_s=0.02)
    assert await race(late_failure, Stream("c", after_s=0.04)) == [(True, "c")]


async def test_a_first_that_fails_at_once_is_not_hedged() -> None:
    second = Stream("c")
    with pytest.raises(ProviderError, match="first"):
        await race(Stream(failure("first")), second)
    assert second.ended == "never begun"


async def test_when_both_fail_one_error_says_so() -> None:
    with pytest.raises(ProviderError):
        await race(Stream(failure("first"), after_s=0.02), Stream(failure("second")))


async def test_whoever_stops_listening_ends_both() -> None:
    first, second = Stream("a", after_s=5), Stream("c", after_s=5)
    task = asyncio.create_task(race(first, second))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (first.ended, second.ended) == ("broken off", "broken off")


async def stream(chain: Chain, **call: Any) -> Any:
    whole: Any = None
    async for chunk in chain.runnable(Call(**call)).astream("hi"):
        whole = chunk if whole is None else whole + chunk
    return whole


class TestChain:
    async def test_nobody_is_hedged_by_default(self, world: Any) -> None:
        world.add("a/1", [world.stall])
        second = world.add("b/2")
        task = asyncio.create_task(stream(world.chain()))
        await asyncio.sleep(0.05)
        task.cancel()
        assert second.calls == []

    async def test_the_next_model_answers_for_a_slow_one(self, world: Any, speak: Say) -> None:
        world.add("a/1", [world.stall])
        world.add("b/2", [speak("I am "), speak("quick.")])
        whole = await stream(world.chain(fallback=SOON))
        assert whole.text == "I am quick."
        assert whole.response_metadata["models"] == ["b/2"]

    async def test_a_quick_one_that_dies_is_finished_by_those_behind_it(
        self, world: Any, speak: Say
    ) -> None:
        slow = world.add("a/1", [world.stall])
        world.add("b/2", [speak("I am "), GONE])
        world.add("c/3", [speak("quick.")])
        whole = await stream(world.chain(fallback=SOON))
        assert whole.text == "I am quick."
        assert whole.response_metadata["models"] == ["b/2", "c/3"]
        assert len(slow.calls) == 1

    async def test_the_one_that_was_overtaken_is_neither_blamed_nor_free(self, world: Any) -> None:
        world.add("a/1", [world.stall], limits=Limits(requests_per_minute=1))
        world.add("b/2")
        failed: list[ProviderError] = []
        chain = world.chain(fallback=SOON)
        await stream(chain, on_failover=failed.append)
        assert failed == []
        assert chain._outages.find("a", "1", account=0) is None
        with pytest.raises(ChainError, match="quota for the minute"):
            await stream(chain, only="a/1")
