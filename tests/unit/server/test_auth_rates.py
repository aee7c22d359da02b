"""How often a key may ask."""

from hypothesis import given
from hypothesis import strategies as st

from potluck.server.auth_rates import Rates


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_without_a_limit_everything_goes_on() -> None:
    rates = Rates(0)
    assert not any(rates.take("ann") for _ in range(10_000))


def test_a_key_that_has_used_its_minute_waits_and_others_do_not() -> None:
    clock = Clock()
    rates = Rates(6, clock=clock)
    assert [rates.take("ann") for _ in range(7)] == [0] * 6 + [10]
    assert rates.take("bob") == 0
    clock.now_s = 10
    assert [rates.take("ann"), rates.take("ann")] == [0, 10]


@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=60))
def test_in_no_minute_more_than_twice_the_limit_goes_on(limit: int, pauses_s: list[float]) -> None:
    clock = Clock()
    rates = Rates(limit, clock=clock)
    passed = []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        if not rates.take("ann"):
            passed.append(clock.now_s)
    for start_s in passed:
        assert sum(start_s <= at_s < start_s + 60 for at_s in passed) <= 2 * limit


@given(st.integers(1, 100), st.integers(0, 200))
def test_who_waits_as_long_as_told_goes_on(limit: int, before: int) -> None:
    clock = Clock()
    rates = Rates(limit, clock=clock)
    for _ in range(before):
        rates.take("ann")
    clock.now_s += rates.take("ann")
    assert rates.take("ann") == 0 or before < limit
