"""No call is admitted that a limit forbids, none refused that all allow, and each waits in turn."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from potluck.errors import ErrorKind, ErrorScope
from potluck.quota.admission import NothingLearned
from potluck.quota.budgets import BY_USER, GUARD_S, NO_LIMIT, Budgets, Rules, Stated
from potluck.quota.learned import Learned
from potluck.quota.limiter import (
    NobodyHasRoomError,
    QuotaLimiter,
    RefusedError,
    Reservation,
    Want,
)
from potluck.quota.limits import Limits, Resets, measure_of, names
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.waiting import Lines
from potluck.quota.windows import Amounts, Deployment, Priority, StatedLimit, Use, Window

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
# Without a key nobody looks for limits that are unknown; KEYED is for that
M = Deployment("p", "m")
KEYED = Deployment("p", "m", "key-a")
ONE = Amounts()


@dataclass
class FakeClock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def sleep(self, seconds: float) -> None:
        """Ends when the test has moved the time on."""
        until = self.now + timedelta(seconds=seconds)
        while self.now < until:  # noqa: ASYNC110 # nothing tells when a fake clock moves
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def tokens(amount: float) -> Amounts:
    return Amounts(input_tokens=amount)


def make(clock: FakeClock, limits: Limits, **facts: Any) -> QuotaLimiter:
    parts = {name: facts.pop(name) for name in ("learned", "estimates") if name in facts}
    rules = Rules("p", models={"m": Stated(limits)}, **facts)
    ledger = MemoryLedger(clock)
    return QuotaLimiter(Budgets([rules]), ledger, clock=clock, lines=Lines(clock.sleep), **parts)


def sharing(ledger: MemoryLedger, clock: FakeClock, **parts: Any) -> QuotaLimiter:
    """One of several processes on one ledger, to which no limits are known."""
    budgets = Budgets([Rules("p", models={"m": Stated(Limits())})])
    return QuotaLimiter(budgets, ledger, clock=clock, lines=Lines(clock.sleep), **parts)


async def refusal(
    limiter: QuotaLimiter, amounts: Amounts = ONE, deployment: Deployment = M, **how: Any
) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await limiter.reserve(deployment, amounts, **how)
    return caught.value


async def settle_down() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class TestAdmission:
    async def test_admits_anything_when_no_limit_is_stated(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        for _ in range(100):
            await limiter.reserve(M, tokens(10**9))
        await limiter.reserve(Deployment("unknown", "model"), tokens(10**9))

    @pytest.mark.parametrize("name", names())
    async def test_each_limit_that_can_be_stated_is_kept(self, clock: FakeClock, name: str) -> None:
        limiter = make(clock, Limits(**{name: 4}))
        one = Amounts(input_tokens=1, output_tokens=1, credits=1)
        unit, period = measure_of(name)
        calls = 2 if unit == "tokens" else 4
        for _ in range(calls):
            await limiter.reserve(M, one)
        error = await refusal(limiter, one)
        kinds = {
            "minute": ErrorKind.MINUTE,
            "month": ErrorKind.MONTH,
            "call": ErrorKind.CONCURRENCY,
        }
        kind = ErrorKind.CREDITS if unit == "credits" else kinds.get(period, ErrorKind.DAY)
        assert (error.kind, error.provider, error.model) == (kind, "p", "m")
        assert error.fault.until is not None
        assert error.fault.until > clock.now

    async def test_says_when_there_is_room_again_and_has_it_then(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=2))
        await limiter.reserve(M, ONE)
        clock.advance(seconds=10)
        await limiter.reserve(M, ONE)
        until = (await refusal(limiter)).fault.until
        assert until == START + timedelta(seconds=60 + GUARD_S)
        clock.now = until - timedelta(microseconds=1)
        await refusal(limiter)
        clock.now = until
        await limiter.reserve(M, ONE)

    async def test_a_refusal_takes_no_room_in_any_window(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1, requests_per_day=2))
        await limiter.reserve(M, ONE)
        for _ in range(5):
            await refusal(limiter)
        clock.advance(minutes=2)
        await limiter.reserve(M, ONE)

    async def test_a_call_larger_than_the_window_is_too_large_for_ever(
        self, clock: FakeClock
    ) -> None:
        error = await refusal(make(clock, Limits(tokens_per_minute=100)), tokens(101))
        assert (error.kind, error.fault.scope) == (ErrorKind.TOO_LARGE, ErrorScope.REQUEST)
        assert error.fault.until is None
        assert "101 tokens are more than the 100" in str(error)

    async def test_what_was_really_used_replaces_the_estimate(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(tokens_per_minute=100))
        reservation = await limiter.reserve(M, tokens(90))
        await reservation.commit(tokens(40))
        await limiter.reserve(M, tokens(60))
        await refusal(limiter, tokens(1))

    async def test_settling_twice_counts_once(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(tokens_per_minute=100))
        reservation = await limiter.reserve(M, tokens(50))
        await reservation.commit(tokens(100))
        await reservation.release()
        await refusal(limiter, tokens(1))

    async def test_a_caller_cancelled_while_it_settles_leaves_nothing_held(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(concurrent_requests=1))
        reservation = await limiter.reserve(M, ONE)
        task = asyncio.create_task(reservation.release())
        await asyncio.sleep(0)
        task.cancel()
        await settle_down()
        await limiter.reserve(M, ONE)


class TestBudgets:
    async def test_each_key_and_each_model_has_a_budget_of_its_own(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        await limiter.reserve(M, ONE)
        await limiter.reserve(Deployment("p", "m", "key-b"), ONE)
        await limiter.reserve(Deployment("p", "other"), ONE)
        assert (await refusal(limiter)).fault.scope is ErrorScope.MODEL

    async def test_keys_may_share_one_budget(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1), keys_share_limits=True)
        await limiter.reserve(M, ONE)
        await refusal(limiter, deployment=Deployment("p", "m", "key-b"))

    async def test_an_accounts_limit_is_one_for_all_its_models(self, clock: FakeClock) -> None:
        account = Stated(Limits(requests_per_minute=2))
        limiter = make(clock, Limits(), account=account)
        await limiter.reserve(M, ONE)
        await limiter.reserve(Deployment("p", "other"), ONE)
        assert (await refusal(limiter)).fault.scope is ErrorScope.KEY
        await limiter.reserve(Deployment("p", "m", "key-b"), ONE)

    async def test_a_day_ends_at_midnight_where_the_provider_is(self, clock: FakeClock) -> None:
        resets = Resets(day="America/Los_Angeles")
        limiter = make(clock, Limits(requests_per_day=1), resets=resets)
        await limiter.reserve(M, ONE)
        until = (await refusal(limiter)).fault.until
        assert until == datetime(2026, 11, 22, 8, tzinfo=UTC)

    async def test_stops_near_the_limit(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_day=10), stop_at=0.9)
        for _ in range(9):
            await limiter.reserve(M, ONE)
        await refusal(limiter)

    async def test_a_part_of_a_refilling_limit_flows_back_as_fast_as_it_may_be_used(
        self, clock: FakeClock
    ) -> None:
        limits = Limits(tokens_per_minute=8000)
        limiter = make(clock, limits, stop_at=0.01, resets=Resets(minute="refill"))
        held = [await limiter.reserve(M, tokens(10)) for _ in range(8)]
        assert (await refusal(limiter, tokens(10))).kind is ErrorKind.MINUTE
        assert len(held) == 8
        clock.advance(seconds=30)
        for _ in range(4):
            await limiter.reserve(M, tokens(10))
        await refusal(limiter, tokens(10))

    async def test_a_whole_refilling_limit_leaves_a_moment_for_the_providers_clock(
        self, clock: FakeClock
    ) -> None:
        limits = Limits(tokens_per_minute=6000)
        limiter = make(clock, limits, resets=Resets(minute="refill"))
        await limiter.reserve(M, tokens(5900))
        await refusal(limiter, tokens(100))
        clock.advance(seconds=1)
        await limiter.reserve(M, tokens(100))

    async def test_what_people_have_used_of_a_refilling_day_is_the_same_for_all(
        self, clock: FakeClock
    ) -> None:
        limiter = make(
            clock,
            Limits(requests_per_day=100),
            resets=Resets(day="refill"),
            reserve_for_interactive=0.5,
        )
        for _ in range(90):
            await (await limiter.reserve(M, ONE)).commit(ONE)
        await refusal(limiter, priority="batch")
        clock.advance(hours=2.4)
        for _ in range(20):
            await limiter.reserve(M, ONE)
        await refusal(limiter)

    @pytest.mark.parametrize("priority", ["background", "batch"])
    async def test_a_part_of_the_day_is_kept_for_people(
        self, clock: FakeClock, priority: Priority
    ) -> None:
        limits = Limits(requests_per_day=10, requests_per_minute=1000)
        limiter = make(clock, limits, reserve_for_interactive=0.2)
        for _ in range(8):
            await limiter.reserve(M, ONE, priority=priority)
        assert (await refusal(limiter, priority=priority)).kind is ErrorKind.DAY
        await limiter.reserve(M, ONE)
        await limiter.reserve(M, ONE)
        await refusal(limiter)

    async def test_one_call_a_day_is_still_one_call_a_day(self, clock: FakeClock) -> None:
        limits = Limits(requests_per_day=1)
        limiter = make(clock, limits, stop_at=0.9, reserve_for_interactive=0.2)
        await limiter.reserve(M, ONE, priority="batch")
        await refusal(limiter)

    async def test_new_rules_hold_from_the_next_call_on_and_use_is_kept(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(requests_per_minute=2))
        await limiter.reserve(M, ONE)
        limiter.budgets.replace([Rules("p", models={"m": Stated(Limits(requests_per_minute=1))})])
        await refusal(limiter)
        limiter.budgets.replace([Rules("p", models={"m": Stated(Limits(requests_per_minute=3))})])
        await limiter.reserve(M, ONE)

    def test_tells_the_users_own_word_from_the_catalogs(self) -> None:
        stated = Stated(Limits(requests_per_day=5, tokens_per_day=9), frozenset({"tokens_per_day"}))
        budget = Budgets([Rules("p", models={"m": stated})]).find(M)
        sources = {window.unit: window.source for window in budget.windows if window.limit < 10}
        assert sources == {"requests": "catalog", "tokens": BY_USER}
        assert len(budget.set_by_user) == 1

    def test_what_has_no_limit_is_counted_all_the_same(self) -> None:
        budget = Budgets([Rules("p", models={"m": Stated(Limits(requests_per_minute=5))})]).find(M)
        unlimited = {(w.unit, w.period) for w in budget.windows if w.limit == NO_LIMIT}
        assert unlimited == {
            ("tokens", "minute"),
            ("requests", "day"),
            ("tokens", "day"),
            ("concurrent", "call"),
        }


class TestUnknownLimits:
    async def test_one_call_at_a_time_is_sent(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        first = await limiter.reserve(KEYED, ONE)
        error = await refusal(limiter, deployment=KEYED)
        assert error.kind is ErrorKind.CONCURRENCY
        # Another model on the account may share its limits, another account does not
        await refusal(limiter, deployment=Deployment("p", "other", "key-a"))
        await limiter.reserve(Deployment("p", "m", "key-b"), ONE)
        await first.commit(ONE)
        await limiter.reserve(KEYED, ONE)

    async def test_whoever_waits_goes_on_when_the_one_before_is_answered(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits())
        first = await limiter.reserve(KEYED, ONE)
        waiting = [
            asyncio.create_task(limiter.reserve(KEYED, ONE, patience_s=20)) for _ in range(2)
        ]
        await settle_down()
        assert not any(task.done() for task in waiting)
        await first.commit(ONE)
        await settle_down()
        assert [task.done() for task in waiting] == [True, False]
        await (await waiting[0]).commit(ONE)
        await settle_down()
        assert waiting[1].done()

    async def test_as_many_as_a_minute_has_granted_are_sent_at_once(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        for _ in range(5):
            await (await limiter.reserve(KEYED, ONE)).commit(ONE)
        (await limiter.reserve(KEYED, ONE)).sent()
        await refusal(limiter, deployment=KEYED)
        clock.advance(minutes=2)
        for _ in range(7):
            await limiter.reserve(KEYED, ONE)
        await refusal(limiter, deployment=KEYED)

    async def test_a_call_that_was_not_refused_at_once_was_taken(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        call = await limiter.reserve(KEYED, ONE)
        clock.advance(seconds=2)
        # It may wait for a connection
        await refusal(limiter, deployment=KEYED)
        call.sent()
        clock.advance(seconds=2)
        await limiter.reserve(KEYED, ONE)

    async def test_a_refused_call_grants_nothing(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        for _ in range(5):
            await (await limiter.reserve(KEYED, ONE)).release()
        await limiter.reserve(KEYED, ONE)
        await refusal(limiter, deployment=KEYED)

    async def test_those_who_wait_go_by_a_limit_as_soon_as_it_is_known(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(), learned=Learned(clock=clock))
        await limiter.reserve(KEYED, ONE)
        waiting = [
            asyncio.create_task(limiter.reserve(KEYED, ONE, patience_s=20)) for _ in range(3)
        ]
        await settle_down()
        told = StatedLimit("requests", "minute", "header", 3, 2, from_header=True)
        limiter.learn(KEYED, [told])
        await settle_down()
        assert [task.done() for task in waiting] == [True, True, True]
        assert [task.exception() is None for task in waiting] == [True, True, False]

    async def test_a_call_that_taught_a_limit_keeps_its_room(self, clock: FakeClock) -> None:
        ledger = MemoryLedger(clock)
        one, two = (sharing(ledger, clock, learned=Learned(clock=clock)) for _ in range(2))
        await (await one.reserve(KEYED, ONE)).commit(ONE)
        refused = await one.reserve(KEYED, ONE)
        one.learn(
            KEYED, [StatedLimit("requests", "minute", "refusal without figures")], refused=True
        )
        await refused.release()
        # The other has not heard of it yet
        await refusal(two, deployment=KEYED)
        clock.advance(minutes=2)
        await two.reserve(KEYED, ONE)

    async def test_one_that_failed_otherwise_keeps_none_whatever_its_headers_say(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits())
        for _ in range(5):
            call = await limiter.reserve(KEYED, ONE)
            limiter.learn(KEYED, [StatedLimit("tokens", "minute", "header", 6000, 5000)])
            await call.release()

    async def test_but_no_longer_than_the_provider_asks_to_wait(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        refused = await limiter.reserve(KEYED, ONE)
        soon = START + timedelta(seconds=5)
        told = StatedLimit("requests", "minute", "refusal without figures", resets_at=soon)
        limiter.learn(KEYED, [told], refused=True)
        await refused.release()
        await refusal(limiter, deployment=KEYED)
        clock.advance(seconds=5)
        await limiter.reserve(KEYED, ONE)

    async def test_all_processes_look_for_a_limit_together(self, clock: FakeClock) -> None:
        ledger = MemoryLedger(clock)
        one, two = sharing(ledger, clock), sharing(ledger, clock)
        first = await one.reserve(KEYED, ONE)
        await refusal(two, deployment=KEYED)
        await first.commit(ONE)
        await settle_down()
        second = await two.reserve(KEYED, ONE)
        await refusal(one, deployment=KEYED)
        await second.commit(ONE)
        await settle_down()
        clock.advance(minutes=2)
        # Each of them has seen one granted, and both together two
        for limiter in (one, two, one):
            await limiter.reserve(KEYED, ONE)
        await refusal(two, deployment=KEYED)

    async def test_what_was_granted_is_known_after_a_restart(self, clock: FakeClock) -> None:
        ledger = MemoryLedger(clock)
        before = sharing(ledger, clock)
        for _ in range(4):
            await (await before.reserve(KEYED, ONE)).commit(ONE)
        await before.aclose()
        clock.advance(minutes=2)
        after = sharing(ledger, clock)
        for _ in range(5):
            await after.reserve(KEYED, ONE)
        await refusal(after, deployment=KEYED)

    async def test_a_call_under_way_for_long_is_told_to_others_by_itself(
        self, clock: FakeClock
    ) -> None:
        ledger = MemoryLedger(clock)
        one, two = sharing(ledger, clock), sharing(ledger, clock)
        one._exploration._sleep = clock.sleep
        (await one.reserve(KEYED, ONE)).sent()
        await settle_down()
        clock.advance(seconds=2)
        await settle_down()
        await two.reserve(KEYED, ONE)

    async def test_a_limit_of_tokens_tells_nothing_of_how_many_calls_are_taken(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(tokens_per_minute=1000, requests_per_day=100))
        await limiter.reserve(KEYED, ONE)
        await refusal(limiter, deployment=KEYED)

    async def test_what_a_refusal_says_is_used_counts_where_nothing_was_known(
        self, clock: FakeClock
    ) -> None:
        parts = {"learned": Learned(clock=clock), "resets": Resets(minute="refill")}
        limiter = make(clock, Limits(), **parts)
        call = await limiter.reserve(KEYED, ONE)
        limiter.learn(KEYED, [StatedLimit("requests", "minute", "error text", 30, 0)], refused=True)
        await call.release()
        await settle_down()
        await refusal(limiter, deployment=KEYED)
        clock.advance(seconds=5)
        await limiter.reserve(KEYED, ONE)

    async def test_a_model_of_ones_own_is_sent_all(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits())
        for _ in range(50):
            await limiter.reserve(M, ONE)


class TestLateCalls:
    """Room is taken before a call is sent, and the provider counts it when it comes."""

    async def test_one_that_was_sent_late_counts_from_when_the_provider_has_it(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        call = await limiter.reserve(M, ONE)
        clock.advance(seconds=5)
        call.sent()
        clock.advance(seconds=1)
        call.arrived()
        await call.commit(ONE)
        assert (await refusal(limiter)).fault.until == START + timedelta(seconds=6 + 60 + GUARD_S)

    async def test_how_long_the_answer_takes_is_no_lateness(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        call = await limiter.reserve(M, ONE)
        clock.advance(seconds=0.2)
        call.sent()
        clock.advance(seconds=30)
        call.arrived()
        await call.commit(ONE)
        assert (await refusal(limiter)).fault.until == START + timedelta(seconds=60 + GUARD_S)

    async def test_one_that_was_given_back_does_not_come_back(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        call = await limiter.reserve(M, ONE)
        clock.advance(seconds=5)
        call.sent()
        call.arrived()
        await call.release()
        call.arrived()
        await limiter.reserve(M, ONE)


class TestWaiting:
    async def test_waits_when_there_is_room_within_its_patience(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        await limiter.reserve(M, ONE)
        waiting = asyncio.create_task(limiter.reserve(M, ONE, patience_s=62))
        await settle_down()
        clock.advance(seconds=60)
        await settle_down()
        assert not waiting.done()
        clock.advance(seconds=GUARD_S)
        assert isinstance(await waiting, object)

    async def test_does_not_begin_to_wait_for_what_comes_too_late(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        await limiter.reserve(M, ONE)
        error = await refusal(limiter, patience_s=60)
        assert error.fault.until == START + timedelta(seconds=61)
        assert clock.now == START

    async def test_nobody_waits_for_a_day(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_day=1))
        await limiter.reserve(M, ONE)
        assert (await refusal(limiter, patience_s=10**6)).kind is ErrorKind.DAY

    async def test_people_come_before_background_and_that_before_batch(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        await limiter.reserve(M, ONE)
        served: list[str] = []
        names: Sequence[tuple[str, Priority]] = [
            ("batch", "batch"),
            ("background 1", "background"),
            ("background 2", "background"),
            ("person", "interactive"),
        ]
        tasks = []
        for name, priority in names:
            tasks.append(asyncio.create_task(self.queue(limiter, name, priority, served)))
            await settle_down()
        for _ in range(4):
            clock.advance(seconds=61)
            await settle_down()
        await asyncio.gather(*tasks)
        assert served == ["person", "background 1", "background 2", "batch"]

    async def test_a_newcomer_does_not_overtake(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=1))
        await limiter.reserve(M, ONE)
        served: list[str] = []
        first = asyncio.create_task(self.queue(limiter, "first", "background", served))
        await settle_down()
        clock.now += timedelta(seconds=61)
        error = await refusal(limiter, priority="background")
        assert error.kind is ErrorKind.MINUTE
        assert error.fault.until is not None
        assert error.fault.until > clock.now
        await first

    async def test_a_small_call_does_not_starve_a_large_one(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(tokens_per_minute=100))
        await limiter.reserve(M, tokens(60))
        large = asyncio.create_task(limiter.reserve(M, tokens(80), patience_s=100))
        await settle_down()
        await refusal(limiter, tokens(10))
        clock.advance(seconds=61)
        await large

    async def test_the_line_is_no_longer_than_patience(self, clock: FakeClock) -> None:
        """A call a second for a minute: a call a second comes back, after one more second."""
        limiter = make(clock, Limits(requests_per_minute=60))
        for _ in range(60):
            await limiter.reserve(M, ONE)
            clock.advance(seconds=1)
        tasks = [
            asyncio.create_task(limiter.reserve(M, ONE, patience_s=10, priority="background"))
            for _ in range(30)
        ]
        await settle_down()
        refused = [task for task in tasks if task.done()]
        assert len(refused) == 20
        for task in refused:
            assert isinstance(task.exception(), RefusedError)
        clock.advance(seconds=10)
        await settle_down()
        assert all(task.done() for task in tasks)

    async def test_what_was_used_in_a_burst_is_waited_for_by_as_many(
        self, clock: FakeClock
    ) -> None:
        limiter = make(clock, Limits(requests_per_minute=60))
        for _ in range(60):
            await limiter.reserve(M, ONE)
        tasks = [asyncio.create_task(limiter.reserve(M, ONE, patience_s=62)) for _ in range(70)]
        await settle_down()
        assert sum(task.done() for task in tasks) == 10
        clock.advance(seconds=61)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def test_a_call_that_ends_makes_room_at_once(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(concurrent_requests=1))
        running = await limiter.reserve(M, ONE)
        waiting = asyncio.create_task(limiter.reserve(M, ONE, patience_s=60))
        await settle_down()
        assert not waiting.done()
        await running.commit(ONE)
        await settle_down()
        assert waiting.done()
        assert isinstance(waiting.result(), object)

    async def test_who_is_cancelled_in_line_makes_way(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(concurrent_requests=1))
        running = await limiter.reserve(M, ONE)
        first = asyncio.create_task(limiter.reserve(M, ONE, patience_s=60))
        await settle_down()
        second = asyncio.create_task(limiter.reserve(M, ONE, patience_s=60))
        await settle_down()
        first.cancel()
        await settle_down()
        await running.release()
        await settle_down()
        assert second.done()
        assert first.cancelled()

    async def test_only_the_head_of_the_line_asks_the_ledger(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_minute=10))
        for _ in range(10):
            await limiter.reserve(M, ONE)
        asked = 0
        ledger: Any = limiter._ledger
        reserve = ledger.reserve

        async def counted(claim: Any) -> Any:
            nonlocal asked
            asked += 1
            return await reserve(claim)

        ledger.reserve = counted
        tasks = [asyncio.create_task(limiter.reserve(M, ONE, patience_s=200)) for _ in range(10)]
        await settle_down()
        assert asked == 1
        clock.advance(seconds=61)
        await asyncio.gather(*tasks)
        assert asked <= 21

    async def queue(
        self, limiter: QuotaLimiter, name: str, priority: Priority, served: list[str]
    ) -> Reservation:
        held = await limiter.reserve(M, ONE, priority=priority, patience_s=1000)
        served.append(name)
        return held


class TestSeveralModels:
    """One call that any of several models may answer stands in the lines of all of them."""

    @pytest.fixture
    def limiter(self, clock: FakeClock) -> QuotaLimiter:
        """`a` and `b` take one call a minute; `one` takes one at a time."""
        minute = Stated(Limits(requests_per_minute=1))
        models = {"a": minute, "b": minute, "one": Stated(Limits(concurrent_requests=1))}
        rules = Rules("p", models=models)
        ledger = MemoryLedger(clock)
        return QuotaLimiter(Budgets([rules]), ledger, clock=clock, lines=Lines(clock.sleep))

    def wants(self, *models: str) -> list[Want]:
        return [Want(Deployment("p", model), ONE) for model in models]

    async def take(self, limiter: QuotaLimiter, model: str) -> Reservation:
        return await limiter.reserve(Deployment("p", model), ONE)

    async def test_the_first_that_has_room_is_taken(self, limiter: QuotaLimiter) -> None:
        await self.take(limiter, "a")
        place, _ = await limiter.reserve_first(self.wants("a", "b"))
        assert place == 1

    async def test_the_first_to_be_back_ends_the_wait(
        self, limiter: QuotaLimiter, clock: FakeClock
    ) -> None:
        await self.take(limiter, "b")
        clock.advance(seconds=20)
        await self.take(limiter, "a")
        wants = self.wants("a", "b")
        waiting = asyncio.create_task(limiter.reserve_first(wants, patience_s=60))
        await settle_down()
        clock.now = START + timedelta(seconds=61)
        assert (await waiting)[0] == 1
        assert limiter._lines._lines == {}

    async def test_a_call_that_ends_elsewhere_is_noticed_while_it_waits(
        self, limiter: QuotaLimiter
    ) -> None:
        await self.take(limiter, "a")
        running = await self.take(limiter, "one")
        wants = self.wants("a", "one")
        waiting = asyncio.create_task(limiter.reserve_first(wants, patience_s=90))
        await settle_down()
        await running.commit(ONE)
        await settle_down()
        assert waiting.done()
        assert waiting.result()[0] == 1

    async def test_who_waits_for_several_is_overtaken_at_none(
        self, limiter: QuotaLimiter, clock: FakeClock
    ) -> None:
        for model in ("a", "b"):
            await self.take(limiter, model)
        first = asyncio.create_task(limiter.reserve_first(self.wants("a", "b"), patience_s=90))
        await settle_down()
        clock.now = START + timedelta(seconds=61)
        for model in ("a", "b"):
            with pytest.raises(RefusedError):
                await self.take(limiter, model)
        assert (await first)[0] == 0
        await self.take(limiter, "b")

    async def test_each_that_has_no_room_in_time_is_told_of(self, limiter: QuotaLimiter) -> None:
        for model in ("a", "one"):
            await self.take(limiter, model)
        with pytest.raises(NobodyHasRoomError) as caught:
            await limiter.reserve_first(self.wants("a", "one"), patience_s=1)
        kinds = {place: refusal.kind for place, refusal in caught.value.refusals.items()}
        assert kinds == {0: ErrorKind.MINUTE, 1: ErrorKind.CONCURRENCY}

    async def test_what_is_out_is_not_asked_before_its_time(
        self, limiter: QuotaLimiter, clock: FakeClock
    ) -> None:
        back_at = START + timedelta(seconds=30)
        wants = [Want(Deployment("p", "a"), ONE, back_at)]
        waiting = asyncio.create_task(limiter.reserve_first(wants, patience_s=60))
        await settle_down()
        assert not waiting.done()
        clock.now = back_at
        assert (await waiting)[0] == 0

    async def test_what_comes_back_while_others_are_asked_is_asked_at_once(
        self, limiter: QuotaLimiter, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.take(limiter, "b")
        reserve = limiter._ledger.reserve

        async def take_a_while(claim: Any) -> Any:
            clock.advance(seconds=2)
            return await reserve(claim)

        monkeypatch.setattr(limiter._ledger, "reserve", take_a_while)
        back_at = START + timedelta(seconds=1)
        wants = [Want(Deployment("p", "a"), ONE, back_at), *self.wants("b")]
        waiting = asyncio.create_task(limiter.reserve_first(wants, patience_s=50))
        await settle_down()
        clock.advance(seconds=1)
        assert (await waiting)[0] == 0

    async def test_a_wait_that_was_cut_short_does_not_end_the_next(
        self, limiter: QuotaLimiter
    ) -> None:
        lines = limiter._lines
        stand = lines.stand("batch")
        stand.called.set()
        await lines.wait(stand, 60)
        stand.called.clear()
        await settle_down()
        assert not stand.called.is_set()

    async def test_whoever_is_told_when_to_come_back_is_told_a_time_of_his_own(
        self, limiter: QuotaLimiter, clock: FakeClock
    ) -> None:
        await self.take(limiter, "a")
        times = []
        for _ in range(3):
            error = await refusal(limiter, deployment=Deployment("p", "a"))
            limiter.book(error)
            times.append(error.fault.until)
        minutes = [START + timedelta(seconds=61 + 60 * number) for number in range(3)]
        assert times == minutes
        clock.now = minutes[0]
        await self.take(limiter, "a")


class Lessons(NothingLearned):
    """Says that the provider's window is fuller than we think, and its limit lower."""

    def __init__(self) -> None:
        self.uses: Sequence[Use] = ()
        self.lowered: tuple[Window, ...] | None = None

    def note(
        self,
        deployment: Deployment,  # noqa: ARG002 # the protocol's
        stated: Sequence[StatedLimit],  # noqa: ARG002 # the protocol's
        *,
        uses: Sequence[Use],
    ) -> list[tuple[Window, float]]:
        self.uses = uses
        return [(uses[0].window, 5.0)]

    def apply(
        self,
        deployment: Deployment,  # noqa: ARG002 # the protocol's
        windows: Sequence[Window],
        **_: object,
    ) -> tuple[Window, ...]:
        return self.lowered or tuple(windows)


class TestLearning:
    async def test_what_the_provider_knows_to_be_used_counts(self, clock: FakeClock) -> None:
        lessons = Lessons()
        limiter = make(clock, Limits(requests_per_minute=6), learned=lessons)
        await limiter.reserve(M, ONE)
        limiter.learn(M, [StatedLimit("requests", "minute", "header x", remaining=1)])
        assert lessons.uses[0].used == 1
        await limiter.aclose()
        await limiter.reserve(M, ONE)
        await refusal(limiter)

    async def test_a_lower_limit_holds_at_once(self, clock: FakeClock) -> None:
        lessons = Lessons()
        limiter = make(clock, Limits(), learned=lessons)
        await limiter.reserve(M, ONE)
        window = Window("p:/m:requests/minute", "requests", "minute", 1)
        lessons.lowered = (window,)
        await refusal(limiter)

    async def test_estimates_are_corrected_by_experience_and_told_what_was_used(
        self, clock: FakeClock
    ) -> None:
        class Doubled:
            told: tuple[str, Amounts, Amounts] | None = None

            def correct(self, ref: str, estimate: Amounts) -> Amounts:  # noqa: ARG002 # the protocol's
                return Amounts(estimate.input_tokens * 2)

            def note(self, ref: str, estimated: Amounts, actual: Amounts) -> None:
                self.told = ref, estimated, actual

        estimates = Doubled()
        limiter = make(clock, Limits(tokens_per_minute=100), estimates=estimates)
        held = await limiter.reserve(M, tokens(40))
        await refusal(limiter, tokens(20))
        await held.commit(tokens(70))
        assert estimates.told == ("p/m", tokens(40), tokens(70))

    async def test_uses_are_known_without_asking(self, clock: FakeClock) -> None:
        limiter = make(clock, Limits(requests_per_day=10))
        assert [use.used for use in limiter.known_uses(M) if use.window.limit == 10] == [0]
        held = await limiter.reserve(M, tokens(7))
        await held.commit(tokens(9))
        known = {use.window.id: use.used for use in limiter.known_uses(M)}
        asked = {use.window.id: use.used for use in await limiter.uses(M)}
        assert known == asked
        assert 9 in known.values()
