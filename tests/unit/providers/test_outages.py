"""An outage keeps out what it speaks about, for as long as it stands, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.outages import (
    FIRST_BREAK,
    LONGEST_BREAK,
    LONGEST_TRIAL,
    TRIPS_AFTER,
    Outages,
)


@pytest.fixture
def outages(clock: Any) -> Outages:
    return Outages(clock)


def error(kind: ErrorKind, scope: ErrorScope = ErrorScope.MODEL, **fault: Any) -> ProviderError:
    return ProviderError("p", "m", ProviderFault(kind, scope, "x", **fault))


def out(outages: Outages, provider: str = "p", model: str = "m", account: int = 0) -> bool:
    return outages.find(provider, model, account=account) is not None


@pytest.mark.parametrize(
    ("scope", "sibling", "other_key"),
    [
        (ErrorScope.MODEL, False, False),
        (ErrorScope.KEY, True, False),
        (ErrorScope.PROVIDER, True, True),
    ],
)
def test_reaches_as_far_as_its_scope(
    outages: Outages, scope: ErrorScope, sibling: bool, other_key: bool
) -> None:
    outages.note(error(ErrorKind.OVERLOAD, scope), account=0)
    assert out(outages)
    assert out(outages, model="sibling") is sibling
    assert out(outages, account=1) is other_key
    assert not out(outages, provider="q")


def test_ends_when_the_provider_said(outages: Outages, clock: Any) -> None:
    until = clock.now + timedelta(seconds=38)
    outages.note(error(ErrorKind.MINUTE, until=until), account=0)
    clock.now = until - timedelta(microseconds=1)
    assert out(outages)
    clock.now = until
    assert not out(outages)


@pytest.mark.parametrize("kind", [ErrorKind.NETWORK, ErrorKind.OVERLOAD, ErrorKind.UNKNOWN])
def test_a_guess_is_not_certain_but_a_stated_time_is(
    outages: Outages, clock: Any, kind: ErrorKind
) -> None:
    outages.note(error(kind), account=0)
    guessed = outages.find("p", "m", account=0)
    assert guessed is not None
    assert not guessed.certain
    outages.note(error(kind, until=clock.now + timedelta(seconds=5)), account=0)
    stated = outages.find("p", "m", account=0)
    assert stated is not None
    assert stated.certain


@pytest.mark.parametrize("kind", [ErrorKind.AUTH, ErrorKind.MODEL_GONE, ErrorKind.CREDITS])
def test_what_does_not_mend_itself_is_certain(outages: Outages, kind: ErrorKind) -> None:
    outages.note(error(kind), account=0)
    found = outages.find("p", "m", account=0)
    assert found is not None
    assert found.certain


@pytest.mark.parametrize("kind", [ErrorKind.TOO_LARGE, ErrorKind.EMPTY, ErrorKind.CALLER])
def test_what_speaks_of_one_request_is_forgotten_at_once(outages: Outages, kind: ErrorKind) -> None:
    outages.note(error(kind, ErrorScope.REQUEST), account=0)
    assert not out(outages)


def test_the_longest_certain_outage_counts(outages: Outages, clock: Any) -> None:
    outages.note(error(ErrorKind.NETWORK, ErrorScope.PROVIDER), account=0)
    outages.note(error(ErrorKind.MINUTE, until=clock.now + timedelta(seconds=2)), account=0)
    found = outages.find("p", "m", account=0)
    assert found is not None
    assert found.error.kind is ErrorKind.MINUTE


def test_an_answer_ends_it(outages: Outages) -> None:
    outages.note(error(ErrorKind.NETWORK, ErrorScope.PROVIDER), account=0)
    outages.forget("p", "m", account=0)
    assert not out(outages)


def test_an_answer_to_a_call_that_began_before_does_not_give_quota_back(
    outages: Outages, clock: Any
) -> None:
    begun = clock.now
    clock.advance(seconds=1)
    outages.note(error(ErrorKind.MINUTE), account=0)
    outages.forget("p", "m", account=0, begun=begun)
    assert out(outages)
    outages.forget("p", "m", account=0, begun=clock.now)
    assert not out(outages)


class TestBreaker:
    """Three failures of a kind put a model out; one call a time tries whether it is back."""

    @pytest.mark.parametrize(
        "kind",
        [
            ErrorKind.NETWORK,
            ErrorKind.OVERLOAD,
            ErrorKind.TIMEOUT,
            ErrorKind.UNKNOWN,
        ],
    )
    def test_three_of_a_kind_put_it_out(self, outages: Outages, kind: ErrorKind) -> None:
        for expected in (False, False, True):
            outages.note(error(kind), account=0)
            found = outages.find("p", "m", account=0)
            assert found is not None
            assert found.certain is expected

    def test_empty_answers_count_though_each_speaks_of_one_request(self, outages: Outages) -> None:
        for expected in (False, False, True):
            outages.note(error(ErrorKind.EMPTY, ErrorScope.REQUEST), account=0)
            assert out(outages) is expected

    def test_two_of_a_kind_are_not_three(self, outages: Outages) -> None:
        for kind in (ErrorKind.NETWORK, ErrorKind.TIMEOUT) * 2:
            outages.note(error(kind), account=0)
        found = outages.find("p", "m", account=0)
        assert found is not None
        assert not found.certain

    def test_an_answer_starts_the_count_anew(self, outages: Outages) -> None:
        for _ in range(2):
            outages.note(error(ErrorKind.NETWORK), account=0)
        outages.forget("p", "m", account=0)
        for _ in range(2):
            outages.note(error(ErrorKind.NETWORK), account=0)
        found = outages.find("p", "m", account=0)
        assert found is not None
        assert not found.certain

    def test_time_that_was_over_before_its_turn_does_not_count(self, outages: Outages) -> None:
        for _ in range(3):
            outages.note(error(ErrorKind.TIMEOUT, ErrorScope.REQUEST), account=0)
        assert not out(outages)

    def test_each_break_is_longer_up_to_a_bound(self, outages: Outages, clock: Any) -> None:
        trip(outages)
        spans = []
        for _ in range(8):
            found = outages.find("p", "m", account=0)
            assert found is not None
            spans.append((found.until - clock.now).total_seconds())
            clock.now = found.until
            assert outages.enter("p", "m", account=0, by="trial") is None
            outages.note(error(ErrorKind.NETWORK), account=0, by="trial")
        assert spans == [30, 60, 120, 240, 480, 900, 900, 900]

    def test_one_call_at_a_time_is_the_trial(self, outages: Outages, clock: Any) -> None:
        trip(outages)
        clock.advance(seconds=30)
        assert not out(outages)
        assert outages.enter("p", "m", account=0, by="first") is None
        second = outages.enter("p", "m", account=0, by="second")
        assert second is not None
        assert second.certain
        outages.leave("p", "m", account=0, by="second")
        assert out(outages)
        outages.leave("p", "m", account=0, by="first")
        assert outages.enter("p", "m", account=0, by="third") is None

    def test_a_trial_that_is_answered_ends_it(self, outages: Outages, clock: Any) -> None:
        trip(outages)
        clock.advance(seconds=30)
        outages.enter("p", "m", account=0, by="trial")
        outages.forget("p", "m", account=0)
        for name in ("one", "two"):
            assert outages.enter("p", "m", account=0, by=name) is None
        outages.note(error(ErrorKind.NETWORK), account=0, by="one")
        found = outages.find("p", "m", account=0)
        assert found is not None
        assert not found.certain

    def test_a_refusal_of_the_trial_shows_that_it_is_alive(
        self, outages: Outages, clock: Any
    ) -> None:
        trip(outages)
        clock.advance(seconds=30)
        outages.enter("p", "m", account=0, by="trial")
        outages.note(error(ErrorKind.TOO_LARGE, ErrorScope.REQUEST, status=413), account=0)
        outages.note(error(ErrorKind.NETWORK), account=0)
        found = outages.find("p", "m", account=0)
        assert found is not None
        assert not found.certain

    def test_our_own_limits_are_no_trial(self, outages: Outages, clock: Any) -> None:
        trip(outages)
        clock.advance(seconds=30)
        outages.enter("p", "m", account=0, by="trial")
        until = clock.now + timedelta(seconds=10)
        outages.note(error(ErrorKind.MINUTE, until=until), account=0, by="trial")
        clock.now = until
        assert outages.enter("p", "m", account=0, by="next") is None
        assert outages.enter("p", "m", account=0, by="other") is not None

    def test_a_trial_that_nobody_ended_is_given_up(self, outages: Outages, clock: Any) -> None:
        trip(outages)
        clock.advance(seconds=30)
        outages.enter("p", "m", account=0, by="lost")
        clock.now += LONGEST_TRIAL
        assert outages.enter("p", "m", account=0, by="next") is None


def trip(outages: Outages) -> None:
    for _ in range(TRIPS_AFTER):
        outages.note(error(ErrorKind.NETWORK), account=0)


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin, end and overlap in any order, against what the states promise."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 11, 21, tzinfo=UTC)
        self.outages = Outages(lambda: self.now)
        self.under_way: list[tuple[object, datetime | None]] = []
        self.failures = 0
        self.breaks = 0
        self.out_until: datetime | None = None

    def is_out(self) -> bool:
        return self.out_until is not None and self.out_until > self.now

    def trials(self) -> int:
        return sum(ends is not None and ends > self.now for _, ends in self.under_way)

    @rule()
    def a_call_comes(self) -> None:
        who = object()
        outage = self.outages.enter("p", "m", account=0, by=who)
        refused = outage is not None and outage.certain
        assert refused == (self.is_out() or (self.breaks > 0 and self.trials() > 0))
        if not refused:
            self.under_way.append((who, self.now + LONGEST_TRIAL if self.breaks else None))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_fails(self, data: st.DataObject) -> None:
        who = self.ended(data)
        self.outages.note(error(ErrorKind.OVERLOAD), account=0, by=who)
        self.failures += 1
        if self.breaks or self.failures >= TRIPS_AFTER:
            span = min(FIRST_BREAK * 2**self.breaks, LONGEST_BREAK)
            self.out_until = self.now + span
            self.breaks += 1

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_is_answered(self, data: st.DataObject) -> None:
        self.ended(data)
        self.outages.forget("p", "m", account=0)
        self.failures = self.breaks = 0
        self.out_until = None
        self.under_way = [(who, None) for who, _ in self.under_way]

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def one_is_left(self, data: st.DataObject) -> None:
        who = self.ended(data)
        self.outages.leave("p", "m", account=0, by=who)

    @rule(seconds=st.integers(1, 90))
    def time_goes_by(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def nobody_is_let_through_while_it_is_out(self) -> None:
        found = self.outages.find("p", "m", account=0)
        assert (found is not None and found.certain) or not self.is_out()
        assert self.trials() <= 1

    def ended(self, data: st.DataObject) -> object:
        place = data.draw(st.integers(0, len(self.under_way) - 1))
        return self.under_way.pop(place)[0]


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestAnyOrder = BreakerMachine.TestCase


def test_a_refusal_without_a_time_tells_later_callers_when_it_is_asked_again() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    outages = Outages(lambda: now)
    fault = ProviderFault(ErrorKind.MINUTE, ErrorScope.MODEL, "too many requests", status=429)

    outages.note(ProviderError("mistral", "m", fault), account=0)

    found = outages.find("mistral", "m", account=0)
    assert found is not None
    assert found.error.fault.until == found.until == now + timedelta(seconds=60)
