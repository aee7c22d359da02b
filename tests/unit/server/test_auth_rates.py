"""How often a key may ask."""

import asyncio
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from potluck.server.auth_rates import Buckets
from potluck.server.auth_shared_rates import REST_S, RedisCount, SharedRates, TableCount, rates_of
from potluck.settings import Settings


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_without_a_limit_everything_goes_on() -> None:
    rates = Buckets(0)
    assert not any(rates.count("ann") for _ in range(10_000))


def test_a_key_that_has_used_its_minute_waits_and_others_do_not() -> None:
    clock = Clock()
    rates = Buckets(6, clock=clock)
    assert [rates.count("ann") for _ in range(7)] == [0] * 6 + [10]
    assert rates.count("bob") == 0
    clock.now_s = 10
    assert [rates.count("ann"), rates.count("ann")] == [0, 10]


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=60))
def test_in_no_minute_more_than_twice_the_limit_goes_on(limit: int, pauses_s: list[float]) -> None:
    clock = Clock()
    rates = Buckets(limit, clock=clock)
    passed = []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        if not rates.count("ann"):
            passed.append(clock.now_s)
    for start_s in passed:
        assert sum(start_s <= at_s < start_s + 60 for at_s in passed) <= 2 * limit


@given(st.integers(1, 100), st.integers(0, 200))
def test_who_waits_as_long_as_told_goes_on(limit: int, before: int) -> None:
    clock = Clock()
    rates = Buckets(limit, clock=clock)
    for _ in range(before):
        rates.count("ann")
    clock.now_s += rates.count("ann")
    assert rates.count("ann") == 0 or before < limit


class Shared:
    """A count shared with others, which can go away."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.wait_s = 0.0
        self.asked = 0
        self.is_closed = False

    async def take(self, key: str) -> float:
        self.asked += bool(key)
        if self.error is not None:
            raise self.error
        return self.wait_s

    async def aclose(self) -> None:
        self.is_closed = True


async def test_what_other_servers_let_through_counts() -> None:
    shared = Shared()
    rates = SharedRates(shared, Buckets(60, clock=Clock()), clock=Clock())
    assert await rates.take("ann") == 0
    shared.wait_s = 2.5
    assert await rates.take("ann") == 3
    await rates.aclose()
    assert shared.is_closed


@pytest.mark.parametrize("error", [redis.ConnectionError("gone"), TimeoutError(), OSError("gone")])
async def test_a_server_that_is_cut_off_counts_alone_and_goes_back(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    shared = Shared()
    rates = SharedRates(shared, Buckets(3, clock=clock), clock=clock)
    assert await rates.take("ann") == 0
    shared.error = error
    # What went through before the cut counts as well.
    assert [await rates.take("ann") for _ in range(3)] == [0, 0, 20]
    assert shared.asked == 2, "it is not asked at each request"
    assert len(caplog.records) == 1
    assert "alone" in caplog.text
    shared.error = None
    clock.now_s = max(20, REST_S)
    assert await rates.take("ann") == 0
    assert shared.asked == 3


async def test_a_request_that_was_refused_elsewhere_costs_nothing_here() -> None:
    clock = Clock()
    shared = Shared()
    rates = SharedRates(shared, Buckets(2, clock=clock), clock=clock)
    shared.wait_s = 5
    assert {await rates.take("ann") for _ in range(5)} == {5}
    shared.wait_s = 0
    assert [await rates.take("ann") for _ in range(2)] == [0, 0]


async def test_a_shared_count_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Shared):
        async def take(self, key: str) -> float:
            await asyncio.Event().wait()
            return float(key)

    monkeypatch.setattr("potluck.server.auth_shared_rates.TIMEOUT_S", 0.01)
    rates = SharedRates(Hanging(), Buckets(2))
    assert await rates.take("ann") == 0


@pytest.mark.parametrize(
    ("given_settings", "expected"),
    [
        ({}, None),
        ({"redis_url": "redis://h"}, RedisCount),
        ({"database_url": "postgresql://h/d", "redis_url": "redis://h"}, RedisCount),
        ({"database_url": "postgresql://h/d"}, TableCount),
    ],
)
async def test_servers_that_share_a_database_count_together(
    given_settings: dict[str, Any], expected: type | None
) -> None:
    rates = rates_of(Settings(potluck_requests_per_minute=5, **given_settings))
    if expected is None:
        assert isinstance(rates, Buckets)
    else:
        assert isinstance(rates, SharedRates)
        assert isinstance(rates._shared, expected)
    assert isinstance(rates_of(Settings(**given_settings)), Buckets)
    await rates.aclose()
