"""A call waits for a model that is back soon, rather than fail or be answered offline."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from potluck.errors import ChainError, ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Fallback, Limits, Waiting
from potluck.providers.chain import Call, Chain

MINUTE = Limits(requests_per_minute=1)


class ApiError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status
        self.body = {"error": {"message": message}}


OVERLOADED = ApiError(503, "overloaded")


async def ask(chain: Chain, *, streamed: bool = False, **call: Any) -> str:
    runnable = chain.runnable(Call(**call))
    if streamed:
        return "".join([chunk.text async for chunk in runnable.astream("hi")])
    return str((await runnable.ainvoke("hi")).text)


async def chain_error(chain: Chain, **call: Any) -> ChainError:
    with pytest.raises(ChainError) as caught:
        await ask(chain, **call)
    return caught.value


@pytest.mark.parametrize("streamed", [False, True])
async def test_waits_for_the_minute_to_end_when_the_call_has_the_time(
    world: Any, streamed: bool
) -> None:
    world.add("a/1", limits=MINUTE)
    chain = world.chain(waiting=Waiting(background_seconds=90))
    began = world.clock.now
    for _ in range(3):
        assert await ask(chain, streamed=streamed, priority="background") == "I am a/1."
    assert timedelta(seconds=122) <= world.clock.now - began < timedelta(seconds=125)


async def test_a_person_is_told_at_once_what_takes_longer_than_patience(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    chain = world.chain()
    await ask(chain)
    began = world.clock.now
    error = await chain_error(chain)
    assert error.is_quota
    assert error.back_at == began + timedelta(seconds=61)
    assert world.clock.now == began


async def test_nobody_waits_while_another_model_of_its_like_is_free(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=MINUTE)
    chain = world.chain()
    began = world.clock.now
    answers = [await ask(chain, priority="background") for _ in range(2)]
    assert answers == ["I am a/1.", "I am b/2."]
    assert world.clock.now == began


async def test_waits_a_moment_for_the_route_before_it_leaves_it(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    world.add("b/2")
    chain = world.chain(routes={"general": ("a",)})
    assert await ask(chain) == "I am a/1."
    world.clock.advance(seconds=59.5)
    assert await ask(chain) == "I am a/1."
    world.clock.advance(seconds=50)
    assert await ask(chain) == "I am b/2."


async def test_background_work_does_not_idle_in_front_of_a_free_model(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    world.add("b/2")
    chain = world.chain(routes={"general": ("a",)})
    await ask(chain)
    world.clock.advance(seconds=40)
    assert await ask(chain, priority="background") == "I am b/2."


async def test_of_several_that_are_out_the_first_to_be_back_is_waited_for(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=MINUTE)
    chain = world.chain()
    await ask(chain, only="b/2")
    world.clock.advance(seconds=20)
    await ask(chain, only="a/1")
    began = world.clock.now
    assert await ask(chain, priority="background") == "I am b/2."
    assert world.clock.now - began < timedelta(seconds=43)


async def test_waits_for_a_provider_that_said_when_it_is_back(world: Any) -> None:
    soon = ApiError(429, "Rate limit reached on requests per minute. Please try again in 1.5s.")
    world.add("a/1", soon, AIMessageChunk(content="back"))
    chain = world.chain()
    assert await ask(chain) == "back"
    assert len(world.scripts["a/1"].calls) == 2


async def test_a_spent_day_is_an_error_that_tells_when_not_an_offline_answer(world: Any) -> None:
    world.add("a/1", limits=Limits(requests_per_day=1))
    world.add("b/2", ApiError(401, "Invalid API Key"))
    chain = world.chain()
    await ask(chain)
    error = await chain_error(chain)
    assert error.is_quota
    assert error.back_at is not None
    assert {attempt.kind for attempt in error.attempts} == {ErrorKind.DAY, ErrorKind.AUTH}


async def test_leaving_while_it_waits_leaves_no_trace(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    chain = world.chain(waiting=Waiting(background_seconds=90))
    await ask(chain)
    held_up = asyncio.Event()
    world.limiter._lines._sleep = lambda _: held_up.wait()
    task = asyncio.create_task(ask(chain, priority="background"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.limiter._lines._lines == {}
    world.clock.advance(seconds=61)
    assert await ask(chain) == "I am a/1."


async def test_each_that_is_told_when_to_come_back_finds_room_then(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    chain = world.chain()
    await ask(chain)
    began = world.clock.now
    errors = [await chain_error(chain) for _ in range(3)]
    times = [error.back_at for error in errors]
    assert times == [began + timedelta(seconds=61 + 60 * number) for number in range(3)]
    for back_at in times:
        world.clock.now = max(world.clock.now, back_at)
        assert await ask(chain, priority="background") == "I am a/1."


async def test_a_call_that_will_not_wait_long_does_not_and_takes_no_place(world: Any) -> None:
    world.add("a/1", limits=MINUTE)
    chain = world.chain(waiting=Waiting(background_seconds=90))
    await ask(chain)
    began = world.clock.now
    small = {"priority": "background", "most_wait_s": 3.0}
    errors = [await chain_error(chain, **small) for _ in range(3)]
    assert world.clock.now - began <= timedelta(seconds=9)
    assert {error.back_at for error in errors} == {began + timedelta(seconds=61)}
    assert (await chain_error(chain)).back_at == began + timedelta(seconds=61)


async def test_a_call_that_will_not_wait_long_is_not_tried_again(world: Any) -> None:
    model = world.add("a/1", OVERLOADED)
    chain = world.chain(fallback=Fallback(max_retries=3, retry_delay_seconds=5))
    await ask(chain, most_wait_s=3.0)
    assert len(model.calls) == 1


async def test_room_that_was_waited_for_is_given_back_when_the_call_is_not_made(
    world: Any,
) -> None:
    model = world.add("a/1", limits=Limits(requests_per_minute=1, concurrent_requests=1))
    chain = world.chain(waiting=Waiting(background_seconds=90))
    await ask(chain)
    reserve_first = world.limiter.reserve_first

    async def lose_the_key(wants: Any, **how: Any) -> Any:
        found = await reserve_first(wants, **how)
        fault = ProviderFault(ErrorKind.AUTH, ErrorScope.KEY, "the key is gone")
        chain._outages.note(ProviderError("a", "1", fault), account=0)
        return found

    world.limiter.reserve_first = lose_the_key
    await chain_error(chain, only="a/1", priority="background")
    assert len(model.calls) == 1
    uses = await world.limiter.uses(chain._links[0].backend.deployment)
    assert next(use.used for use in uses if use.window.unit == "concurrent") == 0


class TestRetries:
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_chain_that_failed_in_passing_is_asked_again(
        self, world: Any, streamed: bool
    ) -> None:
        world.add("a/1", OVERLOADED, AIMessageChunk(content="back"))
        world.add("b/2", OVERLOADED)
        chain = world.chain(fallback=Fallback(max_retries=1, retry_delay_seconds=7))
        began = world.clock.now
        assert await ask(chain, streamed=streamed) == "back"
        assert world.clock.now - began == timedelta(seconds=7)

    async def test_not_more_often_than_it_may(self, world: Any) -> None:
        model = world.add("a/1", OVERLOADED)
        chain = world.chain(fallback=Fallback(max_retries=1))
        error = await chain_error(chain, only="a/1")
        assert len(model.calls) == 2
        assert len(error.attempts) == 1

    async def test_what_the_breaker_holds_is_not_asked_again(self, world: Any) -> None:
        model = world.add("a/1", OVERLOADED)
        await chain_error(world.chain(fallback=Fallback(max_retries=9)), only="a/1")
        assert len(model.calls) == 3

    @pytest.mark.parametrize("reply", [ApiError(401, "Invalid API Key"), ConnectionError("gone")])
    async def test_a_bad_key_or_no_network_is_no_matter_of_seconds(
        self, world: Any, reply: Exception
    ) -> None:
        model = world.add("a/1", reply)
        began = world.clock.now
        await chain_error(world.chain(), only="a/1")
        assert len(model.calls) == 1
        assert world.clock.now == began
