"""Attendance over what other replicas have met, by the memory they share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.attendance import Attendance
from potluck.providers.outage_rows import OutageRow
from potluck.providers.shared_outages import SharedOutages
from potluck.providers.succession import Succession
from potluck.providers.tombstones import TombstoneMemory, Tombstones


@pytest.fixture
def attendance(clock: Any) -> Callable[..., Attendance]:
    def build(shared: SharedOutages, *keys: str) -> Attendance:
        succession = Succession([], Tombstones(TombstoneMemory(), clock=clock))
        return Attendance(clock, succession, shared, {"groq": keys})

    return build


def spent(
    clock: Any, kind: ErrorKind = ErrorKind.DAY, *, back_s: float | None = 600, **fault: Any
) -> ProviderError:
    until = None if back_s is None else clock() + timedelta(seconds=back_s)
    scope = fault.get("scope", ErrorScope.MODEL)
    return ProviderError("groq", "a", ProviderFault(kind, scope, "used up", until, 429))


async def test_a_used_up_limit_is_told_with_its_key(attendance: Any, clock: Any) -> None:
    shared = SharedOutages(clock=clock)
    attendance(shared, "first", "second").note(spent(clock), account=1)
    (row,) = shared.rows()
    assert row.spot == ("groq", "a", "second")
    assert row.until == clock() + timedelta(seconds=600)


async def test_a_server_that_is_started_again_knows_it(attendance: Any, clock: Any) -> None:
    before = SharedOutages(clock=clock)
    attendance(before, "first", "second").note(spent(clock), account=1)
    # The keys stand in another order now
    again = attendance(SharedOutages(before.rows(), clock=clock), "second", "first")
    assert again.find("groq", "a", account=1) is None
    found = again.find("groq", "a", account=0)
    assert found is not None
    assert found.certain
    assert found.error.kind is ErrorKind.DAY
    clock.advance(seconds=601)
    assert again.find("groq", "a", account=0) is None


async def test_a_key_that_is_new_is_not_held_for_another(attendance: Any, clock: Any) -> None:
    before = SharedOutages(clock=clock)
    attendance(before, "old").note(spent(clock), account=0)
    again = attendance(SharedOutages(before.rows(), clock=clock), "new")
    assert again.find("groq", "a", account=0) is None


async def test_a_whole_providers_limit_holds_for_every_key(attendance: Any, clock: Any) -> None:
    before = SharedOutages(clock=clock)
    attendance(before, "one").note(spent(clock, scope=ErrorScope.PROVIDER), account=0)
    again = attendance(SharedOutages(before.rows(), clock=clock), "other")
    assert again.find("groq", "b", account=0) is not None


async def test_a_call_that_is_answered_ends_it_for_all(attendance: Any, clock: Any) -> None:
    shared = SharedOutages(clock=clock)
    here = attendance(shared, "one")
    here.note(spent(clock), account=0)
    here.forget("groq", "a", account=0)
    assert shared.rows() == []


@pytest.mark.parametrize(
    ("kind", "back_s"),
    [
        pytest.param(ErrorKind.OVERLOAD, 600, id="what says nothing of a limit"),
        pytest.param(ErrorKind.AUTH, 600, id="a key that may be mended at any time"),
        pytest.param(ErrorKind.CONCURRENCY, None, id="calls at once, as a guess"),
        pytest.param(ErrorKind.MINUTE, 1, id="what is over before others hear of it"),
        pytest.param(ErrorKind.CREDITS, None, id="a guess of hours"),
    ],
)
async def test_other_outages_stay_with_who_met_them(
    attendance: Any, clock: Any, kind: ErrorKind, back_s: float | None
) -> None:
    shared = SharedOutages(clock=clock)
    here = attendance(shared, "one")
    here.note(spent(clock, kind, back_s=back_s), account=0)
    assert here.find("groq", "a", account=0) is not None
    assert shared.rows() == []


async def test_what_others_tell_and_take_back_is_taken_over(attendance: Any, clock: Any) -> None:
    shared = SharedOutages(clock=clock)
    here = attendance(shared, "one")
    until = datetime.max.replace(tzinfo=UTC)
    row = OutageRow("groq", "a", "one", "day", "model", "used up", 429, until, clock())
    shared.replace([row])
    assert here.find("groq", "a", account=0) is not None
    shared.replace([])
    assert here.find("groq", "a", account=0) is None


async def test_an_own_later_refusal_stands_when_an_earlier_one_is_over(
    attendance: Any, clock: Any
) -> None:
    shared = SharedOutages(clock=clock)
    here = attendance(shared, "one")
    until = clock() + timedelta(hours=1)
    row = OutageRow("groq", "a", "one", "day", "model", "used up", 429, until, clock())
    shared.replace([row])
    clock.advance(seconds=5)
    here.note(spent(clock), account=0)
    shared.replace([])
    assert here.find("groq", "a", account=0) is not None
