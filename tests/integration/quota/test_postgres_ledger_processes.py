"""The ledger shared by processes: nobody gets too much, nothing is left lying, killed or not."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from potluck.pool import Pool
from potluck.quota.ledger import Claim, WindowFullError
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.windows import Amounts, Window

pytestmark = pytest.mark.integration

PROCESSES = 8
REQUESTS = Window("requests", "requests", "day", 200, "UTC")
TOKENS = Window("tokens", "tokens", "day", 17_000)
CALLS = Window("calls", "concurrent", "call", 5)
CREDITS = Window("credits", "credits", "month", 1000, "refill")

# Reserves until the windows stay full, with some reservations given back or settled lower.
HAMMER = """
import asyncio, json, random, sys
from potluck.pool import pool_to
from potluck.quota.ledger import Claim, WindowFullError
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.windows import Amounts, Window

WINDOWS = tuple(Window(*fields) for fields in json.loads(sys.argv[2]))

async def call(ledger, done):
    refusals = 0
    while refusals < 3:
        try:
            held = await ledger.reserve(Claim("a", WINDOWS, Amounts(input_tokens=100)))
        except WindowFullError as error:
            if error.window.unit != "concurrent":
                refusals += 1
            await asyncio.sleep(0.01)
            continue
        assert all(use.used <= use.window.limit for use in held.uses)
        await asyncio.sleep(random.random() * 0.01)
        used = random.choice([None, 50, 100, 100])
        await ledger.settle(held, None if used is None else Amounts(input_tokens=used))
        if used is not None:
            done.append(used)

async def main():
    async with pool_to(sys.argv[1]) as pool:
        ledger, done = PostgresLedger(pool, timeout_s=30), []
        await asyncio.gather(*(call(ledger, done) for _ in range(3)))
        await ledger.aclose()
    print(json.dumps(done))

asyncio.run(main())
"""

HOLD = """
import asyncio, json, sys
from potluck.pool import pool_to
from potluck.quota.ledger import Claim
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.windows import Amounts, Window

async def main():
    window = Window(*json.loads(sys.argv[2])[0])
    async with pool_to(sys.argv[1]) as pool:
        ledger = PostgresLedger(pool, lease_s=1.0)
        await ledger.reserve(Claim("a", (window,), Amounts()))
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def start(script: str, url: str, *windows: Window) -> "subprocess.Popen[str]":
    fields = json.dumps([[w.id, w.unit, w.period, w.limit, w.reset] for w in windows])
    return subprocess.Popen(
        [sys.executable, "-c", script, url, fields],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


@pytest.fixture
def killed_at_the_end() -> Iterator[list["subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


async def test_processes_together_get_all_there_is_and_no_more(
    pool: Pool, postgres_url: str, killed_at_the_end: list["subprocess.Popen[str]"]
) -> None:
    windows = (REQUESTS, TOKENS, CALLS, CREDITS)
    killed_at_the_end += [start(HAMMER, postgres_url, *windows) for _ in range(PROCESSES)]
    outputs = [
        (await asyncio.to_thread(process.communicate, timeout=50))[0]
        for process in killed_at_the_end
    ]
    assert [process.returncode for process in killed_at_the_end] == [0] * PROCESSES
    done = [tokens for output in outputs for tokens in json.loads(output)]

    ledger = PostgresLedger(pool)
    uses = {use.window.id: use.used for use in await ledger.uses(windows)}
    assert uses == {
        "requests": len(done),
        "tokens": sum(done),
        "calls": 0,
        "credits": 0,
    }
    # One of the two windows is as good as full: not even one more call fits.
    assert len(done) <= REQUESTS.limit
    assert sum(done) <= TOKENS.limit
    assert len(done) == REQUESTS.limit or sum(done) > TOKENS.limit - 100
    with pytest.raises(WindowFullError):
        await ledger.reserve(Claim("a", windows, Amounts(input_tokens=100)))
    await ledger.aclose()


async def test_a_killed_process_gives_its_reservation_back_in_time(
    pool: Pool, postgres_url: str, killed_at_the_end: list["subprocess.Popen[str]"]
) -> None:
    window = Window("one", "concurrent", "call", 1)
    holder = start(HOLD, postgres_url, window)
    killed_at_the_end.append(holder)
    assert holder.stdout is not None
    assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
    ledger = PostgresLedger(pool)
    asked = Claim("a", (window,), Amounts())
    # Longer than the lease: it lives, so it keeps what it holds.
    for _ in range(15):
        with pytest.raises(WindowFullError):
            await ledger.reserve(asked)
        await asyncio.sleep(0.1)

    os.kill(holder.pid, signal.SIGKILL)

    async with asyncio.timeout(3):
        while True:
            try:
                await ledger.reserve(asked)
            except WindowFullError:
                await asyncio.sleep(0.05)
            else:
                break
    await ledger.aclose()
