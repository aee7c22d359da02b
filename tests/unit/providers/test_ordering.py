"""Who is asked first: by wish, route, headroom, advice, thread and speed, in this order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from potluck.providers.catalog import Fallback, Limits
from potluck.providers.chain import Call, Chain
from potluck.quota.calls import Price
from potluck.quota.limits import Resets
from potluck.quota.prospects import Prospects
from potluck.quota.windows import Amounts

DAY = Limits(requests_per_day=100)
# Half of the day is over in UTC, where the fake clock starts at noon
CALENDAR = {"resets": Resets(day="UTC")}


async def use(chain: Chain, world: Any, ref: str, calls: int, account: int = 0) -> None:
    """So many calls of the model have been counted."""
    for link in chain._links:
        if link.backend.model.ref == ref and link.backend.account == account:
            for _ in range(calls):
                held = await world.limiter.reserve(link.backend.deployment, Amounts())
                await held.commit(Amounts())


def order(chain: Chain, **call: Any) -> list[str]:
    asked = Call(**call)
    choice = chain._selection.choose(asked, chain._terms(asked), chain._catalog)
    return [placed.link.backend.model.ref for placed in choice.links]


async def test_a_model_that_runs_low_goes_behind_its_like(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=DAY, provider=CALENDAR)
    chain = world.chain()
    assert order(chain) == ["a/1", "b/2"]
    await use(chain, world, "a/1", 70)
    assert order(chain) == ["b/2", "a/1"]


async def test_a_small_difference_does_not_change_the_model(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=DAY, provider=CALENDAR)
    chain = world.chain()
    await use(chain, world, "a/1", 40)
    assert order(chain) == ["a/1", "b/2"]


async def test_what_is_left_counts_against_the_time_that_is_left(world: Any) -> None:
    """20 left of 100 are little at noon, and plenty an hour before midnight."""
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=DAY, provider=CALENDAR)
    chain = world.chain()
    await use(chain, world, "a/1", 80)
    assert order(chain) == ["b/2", "a/1"]
    world.clock.now = datetime(2026, 11, 21, 23, tzinfo=UTC)
    assert order(chain) == ["a/1", "b/2"]


async def test_the_route_comes_before_headroom(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=DAY, provider=CALENDAR)
    chain = world.chain(routes={"general": ("a",)})
    await use(chain, world, "a/1", 90)
    assert order(chain) == ["a/1", "b/2"]


async def test_a_minute_that_is_full_goes_behind_those_that_are_not(world: Any) -> None:
    world.add("a/1", limits=Limits(requests_per_minute=2))
    world.add("b/2")
    chain = world.chain()
    await use(chain, world, "a/1", 2)
    assert order(chain) == ["b/2", "a/1"]
    world.clock.advance(seconds=62)
    assert order(chain) == ["a/1", "b/2"]


async def test_of_several_keys_the_one_with_most_left_is_asked_first(world: Any) -> None:
    world.keys["a"] = 2
    world.add("a/1", limits=DAY)
    chain = world.chain()

    def accounts() -> list[int]:
        call = Call()
        choice = chain._selection.choose(call, chain._terms(call), chain._catalog)
        return [placed.link.backend.account for placed in choice.links]

    await use(chain, world, "a/1", 5, account=0)
    assert accounts() == [1, 0]
    await use(chain, world, "a/1", 6, account=1)
    assert accounts() == [0, 1]


async def test_what_others_have_used_is_known_after_a_refresh(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, limits=DAY, provider=CALENDAR)
    chain = world.chain()
    await use(chain, world, "a/1", 70)
    world.limiter._prospects = Prospects(world.clock)
    assert order(chain) == ["a/1", "b/2"]
    await chain.refresh()
    assert order(chain) == ["b/2", "a/1"]


class TestAdvice:
    @pytest.fixture
    async def chain(self, world: Any) -> Chain:
        """`a/1` has used 85 of 100 by noon: at that pace the day's quota ends before the day."""
        for ref in ("a/1", "b/2"):
            world.add(ref, limits=DAY, provider=CALENDAR)
        world.add("c/3")
        route = ("a", "b")
        chain: Chain = world.chain(routes={"general": route, "simple_task": route})
        await use(chain, world, "a/1", 85)
        return chain

    def test_people_get_the_best_model_to_the_end(self, chain: Chain) -> None:
        assert order(chain) == ["a/1", "b/2", "c/3"]

    @pytest.mark.parametrize(
        "call", [{"priority": "background"}, {"priority": "batch"}, {"task_type": "simple_task"}]
    )
    def test_work_that_matters_less_spares_it_but_stays_in_the_route(
        self, chain: Chain, call: dict[str, Any]
    ) -> None:
        assert order(chain, **call) == ["b/2", "a/1", "c/3"]


def test_a_simple_task_goes_to_the_cheapest_of_its_like(world: Any) -> None:
    world.add("a/1", price=Price(3, 15))
    world.add("b/2", price=Price(0.1, 0.2))
    chain = world.chain()
    assert order(chain, task_type="simple_task") == ["b/2", "a/1"]
    assert order(chain, task_type="complex_reasoning") == ["a/1", "b/2"]


class TestLoad:
    """What a minute gives is lost with it, and so is a model's time while it is idle."""

    async def test_calls_are_spread_over_models_that_are_alike(self, world: Any) -> None:
        for ref in ("a/1", "b/2"):
            world.add(ref, limits=Limits(requests_per_minute=10))
        chain = world.chain()
        answers = [(await chain.runnable(Call()).ainvoke("hi")).text for _ in range(6)]
        assert answers.count("I am b/2.") == 3

    async def test_one_that_takes_a_call_at_a_time_is_not_left_idle(self, world: Any) -> None:
        world.add("a/1", limits=Limits(requests_per_minute=10))
        world.add("b/2", limits=Limits(concurrent_requests=1))
        chain = world.chain()
        await use(chain, world, "a/1", 2)
        assert order(chain) == ["b/2", "a/1"]

    async def test_a_thread_stays_where_it_is(self, world: Any) -> None:
        for ref in ("a/1", "b/2"):
            world.add(ref, limits=Limits(requests_per_minute=10))
        chain = world.chain()
        for _ in range(6):
            answer = await chain.runnable(Call(thread="t")).ainvoke("hi")
            assert answer.text == "I am a/1."

    async def test_the_route_comes_first(self, world: Any) -> None:
        for ref in ("a/1", "b/2"):
            world.add(ref, limits=Limits(requests_per_minute=10))
        chain = world.chain(routes={"general": ("a",)})
        await use(chain, world, "a/1", 8)
        assert order(chain) == ["a/1", "b/2"]


class TestThreads:
    async def test_a_thread_stays_with_who_answered_it(self, world: Any) -> None:
        for ref in ("a/1", "b/2"):
            world.add(ref)
        chain = world.chain()
        await chain.runnable(Call(thread="t", prefer="b/2")).ainvoke("hi")
        assert order(chain, thread="t") == ["b/2", "a/1"]
        assert order(chain, thread="other") == ["a/1", "b/2"]

    async def test_unless_that_makes_a_difference(self, world: Any) -> None:
        for ref in ("a/1", "b/2"):
            world.add(ref, limits=DAY, provider=CALENDAR)
        chain = world.chain()
        await chain.runnable(Call(thread="t", prefer="b/2")).ainvoke("hi")
        await use(chain, world, "b/2", 80)
        assert order(chain, thread="t") == ["a/1", "b/2"]


class TestSpeed:
    def test_a_slow_model_goes_behind_a_quick_one(self, world: Any) -> None:
        for ref in ("a/1", "b/2"):
            world.add(ref)
        chain = world.chain()
        slow = chain._links[0].backend.deployment
        chain._paces.note(slow, 2.5)
        assert order(chain) == ["a/1", "b/2"]
        for _ in range(10):
            chain._paces.note(slow, 12.0)
        assert order(chain) == ["b/2", "a/1"]

    def test_a_slow_model_is_given_another_chance_in_time(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now_s = 1000.0
        monkeypatch.setattr("potluck.providers.paces.monotonic", lambda: now_s)
        for ref in ("a/1", "b/2"):
            world.add(ref)
        chain = world.chain()
        chain._paces.note(chain._links[0].backend.deployment, 30.0)
        assert order(chain) == ["b/2", "a/1"]
        now_s += 700
        assert order(chain) == ["a/1", "b/2"]


def test_new_routes_and_policy_hold_from_the_next_call_on(world: Any) -> None:
    for ref in ("a/1", "b/2"):
        world.add(ref, provider={"trains_on_prompts": "yes" if ref == "a/1" else "no"})
    chain = world.chain(routes={"general": ("a",)})
    assert order(chain) == ["a/1", "b/2"]
    catalog = type(chain.catalog)
    chain.apply(catalog(world.providers, {"general": ("b",)}, Fallback()))
    assert order(chain) == ["b/2", "a/1"]
    chain.apply(catalog(world.providers, {}, privacy="private"))
    assert order(chain) == ["b/2"]


def test_ordering_takes_no_time_worth_naming(world: Any) -> None:
    limits = Limits(requests_per_minute=30, requests_per_day=1000, tokens_per_minute=8000)
    for number in range(20):
        world.add(f"p{number}/m", limits=limits, provider=CALENDAR)
    chain = world.chain(routes={"general": ("p3", "p7")})
    began = datetime.now(UTC)
    for _ in range(20):
        order(chain, priority="background")
    assert (datetime.now(UTC) - began) / 20 < timedelta(milliseconds=20)
