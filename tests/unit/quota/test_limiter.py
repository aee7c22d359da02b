"""No call is admitted that a model's stated limits forbid, and none refused that they allow."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.errors import ErrorKind, ErrorScope, ProviderError
from potluck.providers.catalog import Limits, Model
from potluck.quota.limiter import RateLimiter, Reservation

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class FakeClock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


def make_model(**limits: int) -> Model:
    return Model(provider="groq", id="m", limits=Limits(**limits))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> RateLimiter:
    return RateLimiter(clock)


async def refusal(limiter: RateLimiter, model: Model, tokens: int = 1) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await limiter.reserve(model, tokens)
    return caught.value


async def test_admits_anything_when_no_limit_is_stated(limiter: RateLimiter) -> None:
    for _ in range(1000):
        await limiter.reserve(make_model(), 10**9)


async def test_refuses_the_request_after_the_last_of_the_minute_and_says_until_when(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    model = make_model(requests_per_minute=2)
    await limiter.reserve(model, 1)
    clock.advance(seconds=10)
    await limiter.reserve(model, 1)
    error = await refusal(limiter, model)
    assert (error.provider, error.model) == ("groq", "m")
    assert (error.kind, error.fault.scope) == (ErrorKind.MINUTE, ErrorScope.MODEL)
    assert error.fault.until == START + timedelta(seconds=60)


async def test_admits_again_at_the_very_moment_it_named(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    model = make_model(requests_per_minute=1)
    await limiter.reserve(model, 1)
    until = (await refusal(limiter, model)).fault.until
    assert until is not None
    clock.now = until - timedelta(microseconds=1)
    await refusal(limiter, model)
    clock.now = until
    await limiter.reserve(model, 1)


@pytest.mark.parametrize(
    ("limit", "kind", "span"),
    [
        ("requests_per_minute", ErrorKind.MINUTE, timedelta(minutes=1)),
        ("requests_per_day", ErrorKind.DAY, timedelta(days=1)),
        ("requests_per_month", ErrorKind.MONTH, timedelta(days=30)),
        ("tokens_per_minute", ErrorKind.MINUTE, timedelta(minutes=1)),
        ("tokens_per_day", ErrorKind.DAY, timedelta(days=1)),
    ],
)
async def test_each_stated_limit_is_kept(
    limiter: RateLimiter, limit: str, kind: ErrorKind, span: timedelta
) -> None:
    model = make_model(**{limit: 1})
    await limiter.reserve(model, 1)
    error = await refusal(limiter, model)
    assert error.kind is kind
    assert error.fault.until == START + span


async def test_names_the_window_that_keeps_it_out_longest(limiter: RateLimiter) -> None:
    model = make_model(requests_per_minute=1, requests_per_day=1)
    await limiter.reserve(model, 1)
    assert (await refusal(limiter, model)).kind is ErrorKind.DAY


async def test_a_refusal_takes_no_room_in_any_window(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    model = make_model(requests_per_minute=1, requests_per_day=2)
    await limiter.reserve(model, 1)
    for _ in range(5):
        await refusal(limiter, model)
    clock.advance(minutes=1)
    await limiter.reserve(model, 1)


async def test_a_request_larger_than_the_window_is_too_large_for_ever(
    limiter: RateLimiter,
) -> None:
    error = await refusal(limiter, make_model(tokens_per_minute=100), tokens=101)
    assert (error.kind, error.fault.scope) == (ErrorKind.TOO_LARGE, ErrorScope.REQUEST)
    assert error.fault.until is None


async def test_waits_until_enough_tokens_are_back_not_only_some(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    model = make_model(tokens_per_minute=100)
    await limiter.reserve(model, 30)
    clock.advance(seconds=20)
    await limiter.reserve(model, 60)
    error = await refusal(limiter, model, tokens=50)
    assert error.fault.until == START + timedelta(seconds=80)


async def test_waits_no_longer_than_until_enough_tokens_are_back(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    model = make_model(tokens_per_minute=100)
    await limiter.reserve(model, 60)
    clock.advance(seconds=20)
    await limiter.reserve(model, 30)
    error = await refusal(limiter, model, tokens=50)
    assert error.fault.until == START + timedelta(seconds=60)


async def test_commit_replaces_the_estimate_by_what_was_used(limiter: RateLimiter) -> None:
    model = make_model(tokens_per_minute=100)
    reservation = await limiter.reserve(model, 90)
    await reservation.commit(40)
    await limiter.reserve(model, 60)
    await refusal(limiter, model, tokens=1)


async def test_release_gives_everything_back(limiter: RateLimiter) -> None:
    model = make_model(requests_per_minute=1, tokens_per_day=10)
    reservation = await limiter.reserve(model, 10)
    await reservation.release()
    await limiter.reserve(model, 10)


async def test_settling_twice_counts_once(limiter: RateLimiter) -> None:
    model = make_model(tokens_per_minute=100)
    reservation = await limiter.reserve(model, 50)
    await reservation.commit(100)
    await reservation.release()
    await refusal(limiter, model, tokens=1)


async def test_a_commit_after_its_window_has_passed_takes_no_room_in_it(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    model = make_model(tokens_per_minute=100)
    reservation = await limiter.reserve(model, 10)
    clock.advance(minutes=2)
    await limiter.reserve(model, 1)
    await reservation.commit(100)
    await limiter.reserve(model, 99)


async def test_each_key_and_each_model_has_a_budget_of_its_own(limiter: RateLimiter) -> None:
    model = make_model(requests_per_minute=1)
    other = Model(provider="groq", id="other", limits=Limits(requests_per_minute=1))
    await limiter.reserve(model, 1)
    await limiter.reserve(model, 1, account=1)
    await limiter.reserve(other, 1)
    await refusal(limiter, model)


@dataclass
class PlainModel:
    """What the limiter must do, said without any cleverness: a list, searched every time."""

    limits: Limits
    admitted: list[list[object]] = field(default_factory=list)

    def windows(self) -> list[tuple[timedelta, int | None, int | None]]:
        given = self.limits
        return [
            (timedelta(minutes=1), given.requests_per_minute, given.tokens_per_minute),
            (timedelta(days=1), given.requests_per_day, given.tokens_per_day),
            (timedelta(days=30), given.requests_per_month, None),
        ]

    def admits(self, now: datetime, tokens: int) -> bool:
        for span, requests, max_tokens in self.windows():
            inside = [entry for entry in self.admitted if now - entry[0] < span]  # type: ignore[operator] # a datetime
            used = sum(entry[1] for entry in inside)  # type: ignore[misc] # an int
            if requests is not None and len(inside) >= requests:
                return False
            if max_tokens is not None and used + tokens > max_tokens:
                return False
        return True


few = st.none() | st.integers(1, 6)
tokens_limit = st.none() | st.integers(1, 60)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 30)),
        st.tuples(st.just("advance"), st.sampled_from([1, 20, 59, 60, 3600, 43_200, 86_400])),
        st.tuples(st.just("commit"), st.integers(0, 40)),
        st.tuples(st.just("release"), st.just(0)),
    ),
    max_size=40,
)


@given(
    limits=st.builds(Limits, few, few, few, tokens_limit, tokens_limit),
    steps=steps,
)
async def test_agrees_with_a_plain_model_on_every_admission(
    limits: Limits, steps: list[tuple[str, int]]
) -> None:
    clock = FakeClock()
    limiter = RateLimiter(clock)
    plain = PlainModel(limits)
    model = Model(provider="p", id="m", limits=limits)
    open_calls: list[tuple[Reservation, list[object]]] = []
    for action, amount in steps:
        if action == "advance":
            clock.advance(seconds=amount)
        elif action == "reserve":
            expected = plain.admits(clock.now, amount)
            try:
                reservation = await limiter.reserve(model, amount)
            except ProviderError as error:
                assert not expected
                assert_honest(error, plain, clock.now, amount)
            else:
                assert expected
                entry: list[object] = [clock.now, amount]
                plain.admitted.append(entry)
                open_calls.append((reservation, entry))
        elif open_calls:
            reservation, entry = open_calls.pop(0)
            if action == "commit":
                await reservation.commit(amount)
                entry[1] = amount
            else:
                await reservation.release()
                plain.admitted.remove(entry)


def assert_honest(error: ProviderError, plain: PlainModel, now: datetime, tokens: int) -> None:
    """The time it names is the first at which the call would be admitted."""
    until = error.fault.until
    if error.kind is ErrorKind.TOO_LARGE:
        assert not PlainModel(plain.limits).admits(now, tokens)
        return
    assert until is not None
    assert plain.admits(until, tokens)
    assert not plain.admits(until - timedelta(microseconds=1), tokens)
