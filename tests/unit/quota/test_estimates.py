"""Estimates get better with every call, and no single call spoils them."""

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.quota.estimates import Estimates
from potluck.quota.windows import Amounts

REF = "groq/gpt-oss"
ESTIMATE = Amounts(input_tokens=1000, output_tokens=512)


@pytest.fixture
def estimates() -> Estimates:
    return Estimates(clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))


def feed(estimates: Estimates, actual: Amounts, *, calls: int = 40) -> None:
    for _ in range(calls):
        estimates.note(REF, ESTIMATE, actual)


def test_an_unknown_model_is_estimated_as_it_is(estimates: Estimates) -> None:
    assert estimates.correct(REF, ESTIMATE) is ESTIMATE


def test_what_is_always_off_by_the_same_is_put_right(estimates: Estimates) -> None:
    feed(estimates, Amounts(input_tokens=1300, output_tokens=100))
    found = estimates.correct(REF, Amounts(2000, 512, credits=7, requests=1))
    assert found.input_tokens == pytest.approx(2600, rel=0.1)
    assert found.output_tokens == pytest.approx(100, rel=0.35)
    assert (found.credits, found.requests) == (7, 1)


def test_each_model_has_its_own(estimates: Estimates) -> None:
    feed(estimates, Amounts(input_tokens=1300, output_tokens=100))
    assert estimates.correct("groq/other", ESTIMATE) is ESTIMATE


def test_a_few_calls_are_not_believed_at_once(estimates: Estimates) -> None:
    feed(estimates, Amounts(input_tokens=500, output_tokens=10), calls=1)
    found = estimates.correct(REF, ESTIMATE)
    assert found.input_tokens > 800
    assert found.output_tokens > 150


def test_about_four_of_five_answers_fit_into_their_estimate(estimates: Estimates) -> None:
    dice = random.Random(7)  # noqa: S311 # no secret

    def call() -> Amounts:
        return Amounts(
            input_tokens=1000 * dice.lognormvariate(0.1, 0.05),
            output_tokens=200 * dice.lognormvariate(0, 0.8),
        )

    inputs = outputs = 0
    for number in range(2000):
        actual, corrected = call(), estimates.correct(REF, ESTIMATE)
        if number >= 200:
            inputs += actual.input_tokens <= corrected.input_tokens
            outputs += actual.output_tokens <= corrected.output_tokens
        estimates.note(REF, ESTIMATE, actual)
    assert 0.55 < inputs / 1800 < 0.85
    assert 0.7 < outputs / 1800 < 0.9


def test_one_wild_call_changes_little(estimates: Estimates) -> None:
    feed(estimates, Amounts(input_tokens=1000, output_tokens=200))
    before = estimates.correct(REF, ESTIMATE)
    feed(estimates, Amounts(input_tokens=100_000, output_tokens=30_000), calls=1)
    after = estimates.correct(REF, ESTIMATE)
    assert after.input_tokens < before.input_tokens * 1.05
    assert after.output_tokens < before.output_tokens * 1.05


def test_it_follows_when_the_work_changes(estimates: Estimates) -> None:
    feed(estimates, Amounts(input_tokens=1000, output_tokens=100))
    feed(estimates, Amounts(input_tokens=1000, output_tokens=400), calls=150)
    assert estimates.correct(REF, ESTIMATE).output_tokens > 350


FIGURES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, -1.0, 1e-300, 1e300])
)


@given(st.lists(st.tuples(FIGURES, FIGURES, FIGURES, FIGURES), max_size=20))
def test_absurd_figures_keep_the_estimate_within_bounds(
    calls: list[tuple[float, float, float, float]],
) -> None:
    estimates = Estimates(clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))
    for sent, guessed, read, said in calls:
        estimates.note(REF, Amounts(sent, guessed), Amounts(read, said))
    found = estimates.correct(REF, ESTIMATE)
    assert 250 <= found.input_tokens <= 4000
    assert 10 <= found.output_tokens <= 10_240
    assert math.isfinite(found.output_tokens)
