"""Used-up limits over processes: two memories on one PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.pool import Pool
from potluck.providers.outages import Outage
from potluck.providers.shared_outages import SharedOutages

SPOT = ("groq", "llama", "abcd")


def now() -> datetime:
    return datetime.now(UTC)


def spent(until: datetime) -> Outage:
    fault = ProviderFault(ErrorKind.DAY, ErrorScope.MODEL, "used up", until, 429)
    return Outage(ProviderError("groq", "llama", fault), until, certain=True)


@pytest.mark.parametrize("is_guess", [False, True])
async def test_it_outlives_the_process(pool: Pool, is_guess: bool) -> None:
    until = now() + timedelta(minutes=5)
    first = await SharedOutages.open(pool, clock=now)
    first.tell(spent(until), SPOT, is_guess=is_guess)
    await first.aclose()
    again = await SharedOutages.open(pool, clock=now)
    await again.aclose()
    (row,) = again.rows()
    assert (row.spot, row.until) == (SPOT, until)
    assert str(row.error()) == str(spent(until).error)


async def test_another_replica_hears_of_it_and_of_its_end(pool: Pool) -> None:
    here = await SharedOutages.open(pool, clock=now, refresh_s=0.05)
    there = await SharedOutages.open(pool, clock=now, refresh_s=0.05)
    heard_there, heard_here = asyncio.Event(), asyncio.Event()
    there.on_change, here.on_change = heard_there.set, heard_here.set
    async with asyncio.timeout(5):
        here.tell(spent(now() + timedelta(minutes=5)), SPOT, is_guess=False)
        await heard_there.wait()
        assert [row.spot for row in there.rows()] == [SPOT]
        there.end(SPOT)
        await heard_here.wait()
    assert here.rows() == []
    await here.aclose()
    await there.aclose()


async def test_what_is_over_is_not_kept(pool: Pool) -> None:
    moment = now()
    first = await SharedOutages.open(pool, clock=lambda: moment)
    first.tell(spent(moment + timedelta(minutes=5)), SPOT, is_guess=False)
    await first.aclose()
    later = await SharedOutages.open(pool, clock=lambda: moment + timedelta(minutes=6))
    assert later.rows() == []
    await later.aclose()
