"""The cache gives the same answer to the same request, and lets one call do for many."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from potluck.cache.entry import Entry
from potluck.cache.responses import MOST_FLIGHTS, Asker, Question, ResponseCache
from potluck.cache.store import CacheOptions, MemoryStore

KEY = b"k" * 32
CHAT = Asker("chat")
NODE = Asker("chat", "model:1")


def says(text: str) -> Entry:
    return Entry("groq", "m", "stop", text=text)


@dataclass
class Model:
    """Answers with a new text each time, when it is let to."""

    cache: ResponseCache
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    fails: int = 0
    calls: int = 0

    async def ask(self, question: Question) -> str:
        async with self.cache.turn(question) as turn:
            if turn.entry is not None:
                return turn.entry.text
            self.calls += 1
            text = f"answer {self.calls}"
            await self.may_answer.wait()
            if self.fails:
                self.fails -= 1
                raise ConnectionError("gone")
            turn.keep(says(text))
            return text


@pytest.fixture
def store(clock: Any) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def cache(store: MemoryStore) -> ResponseCache:
    return ResponseCache(store, CacheOptions())


@pytest.fixture
def model(cache: ResponseCache) -> Model:
    made = Model(cache)
    made.may_answer.set()
    return made


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_second_time_nobody_is_asked(model: Model) -> None:
    assert [await model.ask(Question(KEY)) for _ in range(3)] == ["answer 1"] * 3
    assert model.calls == 1


async def test_nobody_waits_until_an_answer_is_stored(clock: Any) -> None:
    may_store = asyncio.Event()

    class SlowStore(MemoryStore):
        async def put(self, key: bytes, value: bytes, mark: str, options: CacheOptions) -> None:
            await may_store.wait()
            await super().put(key, value, mark, options)

    model = Model(ResponseCache(SlowStore(clock), CacheOptions()))
    model.may_answer.set()
    assert await asyncio.wait_for(model.ask(Question(KEY)), 1) == "answer 1"
    again = asyncio.create_task(model.ask(Question(KEY)))
    await settle()
    may_store.set()
    assert await again == "answer 1", "whoever asks the same at once waits for it"


async def test_another_request_is_another_call(model: Model) -> None:
    await model.ask(Question(KEY))
    assert await model.ask(Question(b"other")) == "answer 2"


async def test_whoever_wants_it_anew_gets_it_and_so_do_others_then(model: Model) -> None:
    await model.ask(Question(KEY))
    assert await model.ask(Question(KEY, anew=True)) == "answer 2"
    assert await model.ask(Question(KEY)) == "answer 2"


async def test_what_is_not_kept_is_asked_again(cache: ResponseCache) -> None:
    for _ in range(2):
        async with cache.turn(Question(KEY)) as turn:
            assert turn.entry is None


async def test_an_answer_too_large_is_not_kept(model: Model) -> None:
    model.cache.apply(CacheOptions(max_bytes=800))
    await model.ask(Question(KEY))
    await model.ask(Question(KEY))
    assert model.calls == 2


async def test_a_damaged_answer_is_removed_and_asked_again(
    model: Model, store: MemoryStore
) -> None:
    await model.ask(Question(KEY))
    await asyncio.sleep(0)
    await store.put(KEY, b'{"provider": 1', "", CacheOptions())
    assert await model.ask(Question(KEY)) == "answer 2"
    assert await model.ask(Question(KEY)) == "answer 2"


class TestRegenerating:
    """The same request again in the same thread asks for another answer."""

    async def test_a_thread_is_not_told_the_same_twice(self, model: Model) -> None:
        assert await model.ask(Question(KEY, CHAT)) == "answer 1"
        assert await model.ask(Question(KEY, CHAT)) == "answer 2"
        assert await model.ask(Question(KEY, CHAT)) == "answer 3"

    async def test_nor_when_it_had_the_answer_from_the_cache(self, model: Model) -> None:
        await model.ask(Question(KEY))
        assert await model.ask(Question(KEY, CHAT)) == "answer 1"
        assert await model.ask(Question(KEY, CHAT)) == "answer 2"

    async def test_another_thread_is(self, model: Model) -> None:
        await model.ask(Question(KEY, CHAT))
        assert await model.ask(Question(KEY, Asker("other chat"))) == "answer 1"

    async def test_a_task_that_is_done_again_is(self, model: Model) -> None:
        await model.ask(Question(KEY, NODE))
        assert await model.ask(Question(KEY, NODE)) == "answer 1"
        assert await model.ask(Question(KEY, Asker("chat", "model:2"))) == "answer 2"

    async def test_steps_side_by_side_in_one_thread_share(self, model: Model) -> None:
        model.may_answer.clear()
        both = asyncio.gather(
            *(model.ask(Question(KEY, Asker("chat", task))) for task in ("a", "b"))
        )
        await settle()
        model.may_answer.set()
        assert await both == ["answer 1"] * 2


class TestInFlight:
    """Identical requests at the same time share one call."""

    async def test_all_get_the_answer_of_the_first(self, model: Model) -> None:
        model.may_answer.clear()
        many = [asyncio.create_task(model.ask(Question(KEY))) for _ in range(20)]
        await settle()
        assert model.calls == 1
        model.may_answer.set()
        assert await asyncio.gather(*many) == ["answer 1"] * 20
        assert not model.cache._flights

    async def test_a_thread_that_shared_an_answer_has_had_it(self, model: Model) -> None:
        model.may_answer.clear()
        both = asyncio.gather(model.ask(Question(KEY)), model.ask(Question(KEY, CHAT)))
        await settle()
        model.may_answer.set()
        assert await both == ["answer 1"] * 2
        assert await model.ask(Question(KEY, CHAT)) == "answer 2"

    async def test_when_the_first_fails_the_next_takes_over(self, model: Model) -> None:
        model.may_answer.clear()
        model.fails = 1
        many = [asyncio.create_task(model.ask(Question(KEY))) for _ in range(3)]
        await settle()
        model.may_answer.set()
        first, *others = await asyncio.gather(*many, return_exceptions=True)
        assert isinstance(first, ConnectionError)
        assert others == ["answer 2"] * 2

    async def test_when_the_first_is_cancelled_the_next_takes_over(self, model: Model) -> None:
        model.may_answer.clear()
        first, *others = [asyncio.create_task(model.ask(Question(KEY))) for _ in range(3)]
        await settle()
        first.cancel()
        await settle()
        assert model.calls == 2
        model.may_answer.set()
        assert await asyncio.gather(*others) == ["answer 2"] * 2
        assert first.cancelled()

    async def test_who_waits_may_leave(self, model: Model) -> None:
        model.may_answer.clear()
        first, second = [asyncio.create_task(model.ask(Question(KEY))) for _ in range(2)]
        await settle()
        second.cancel()
        await settle()
        model.may_answer.set()
        assert await first == "answer 1"
        assert second.cancelled()

    async def test_nobody_waits_for_failures_for_ever(self, model: Model) -> None:
        model.may_answer.clear()
        model.fails = 100
        many = [asyncio.create_task(model.ask(Question(KEY))) for _ in range(MOST_FLIGHTS + 5)]
        await settle()
        model.may_answer.set()
        await asyncio.gather(*many, return_exceptions=True)
        assert model.calls == MOST_FLIGHTS + 5
        assert not model.cache._flights

    async def test_a_reader_who_dawdles_is_not_waited_for(self, model: Model) -> None:
        async with model.cache.turn(Question(KEY)) as slow:
            assert slow._flight is not None
            slow._flight.stall_s = 0.01
            slow.rest()
            async with asyncio.timeout(1):
                assert await model.ask(Question(KEY)) == "answer 1"
            slow.go_on()
        assert await model.ask(Question(KEY)) == "answer 1"

    async def test_an_urgent_call_does_not_wait_for_one_that_is_not(self, model: Model) -> None:
        model.may_answer.clear()
        patient = asyncio.create_task(model.ask(Question(KEY, priority="batch")))
        await settle()
        urgent = asyncio.create_task(model.ask(Question(KEY)))
        await settle()
        assert model.calls == 2
        model.may_answer.set()
        assert await asyncio.gather(patient, urgent) == ["answer 1", "answer 2"]

    async def test_a_slow_model_is_waited_for(self, model: Model) -> None:
        model.may_answer.clear()
        first = asyncio.create_task(model.ask(Question(KEY)))
        await settle()
        model.cache._flights[Question(KEY).place].stall_s = 0.001
        second = asyncio.create_task(model.ask(Question(KEY)))
        await asyncio.sleep(0.01)
        model.may_answer.set()
        assert await asyncio.gather(first, second) == ["answer 1"] * 2
