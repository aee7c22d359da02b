"""Processes that look for the same unknown limits together find them with one refusal."""

import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROCESSES = 3
# A minute of the simulator lasts 15 s
SPEED = 4.0
MINUTE = timedelta(minutes=1)
# By their paths below the simulator: a model of each, of which no limits are known
TIERS = {
    "nvidia": ("openai", "/v1", "openai/gpt-oss-120b", "rolling"),
    "google_gemini": ("gemini", "", "gemini-3.5-flash-lite", "America/Los_Angeles"),
    "together": ("together", "/v1", "openai/gpt-oss-20b", "rolling"),
}
# What the three of them take in a minute
POOLED = 40 + 15 + 10

ASK = """
import asyncio, json, sys, time
from collections import Counter
from datetime import datetime, timedelta
from pydantic import SecretStr
from potluck.errors import ChainError
from potluck.pool import pool_to
from potluck.providers.catalog import Catalog, Model, Provider, ProviderStatus, Waiting
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.chain import Call, Chain
from potluck.providers.probe import load_classes
from potluck.quota.budgets import Budgets
from potluck.quota.learned import Learned
from potluck.quota.limiter import QuotaLimiter
from potluck.quota.limits import Resets
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.waiting import Lines

facts = json.loads(sys.argv[1])
started = datetime.fromisoformat(facts["now"])

def clock():
    return started + timedelta(seconds=(time.monotonic() - facts["monotonic"]) * facts["speed"])

async def sleep(seconds):
    await asyncio.sleep(seconds / facts["speed"])

def status(name, api, path, model, day):
    provider = Provider(
        name, api, None, (), (Model(provider=name, id=model),), resets=Resets(day=day)
    )
    url = f"{facts['simulator']}/{name}{path}"
    return ProviderStatus(
        provider, on=True, reason="", keys=(SecretStr("made-up"),), base_url=url
    )

async def main():
    statuses = [status(name, *tier) for name, tier in facts["tiers"].items()]
    await load_classes(statuses)
    providers = {one.provider.id: one.provider for one in statuses}
    catalog = Catalog(providers, {}, waiting=Waiting(background_seconds=70))
    outcomes = Counter()
    async with pool_to(facts["database"]) as pool:
        learned = await Learned.open(pool, clock=clock)
        ledger = PostgresLedger(pool, clock=clock, timeout_s=30)
        limiter = QuotaLimiter(
            Budgets(rules_of(catalog)), ledger, clock=clock, learned=learned, lines=Lines(sleep)
        )
        chain = Chain(catalog, statuses, limiter, clock=clock, sleep=sleep)

        async def ask(number):
            try:
                await chain.runnable(Call(priority="background")).ainvoke(f"Number {number}?")
            except ChainError as error:
                outcomes["told when" if error.is_quota and error.back_at else "failed"] += 1
            else:
                outcomes["answered"] += 1

        print("ready", flush=True)
        sys.stdin.readline()
        async with asyncio.TaskGroup() as group:
            for number in range(facts["calls"]):
                group.create_task(ask(number))
                await sleep(120 / facts["calls"])
        await chain.aclose()
        await limiter.aclose()
        await ledger.aclose()
        await learned.aclose()
    print(json.dumps(outcomes))

asyncio.run(main())
"""


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(limits=True, speed=SPEED) as server:
        yield server


@pytest.fixture
def children() -> Iterator[list["subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(simulator: SimulatorServer, database: str) -> "subprocess.Popen[str]":
    facts = {
        "simulator": simulator.url,
        "database": database,
        "now": simulator.clock.now().isoformat(),
        "monotonic": time.monotonic(),
        "speed": SPEED,
        "tiers": TIERS,
        "calls": POOLED,
    }
    return subprocess.Popen(
        [sys.executable, "-c", ASK, json.dumps(facts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


@pytest.mark.usefixtures("pool")
async def test_together_they_are_refused_once_for_each_provider_and_window(
    postgres_url: str, simulator: SimulatorServer, children: list["subprocess.Popen[str]"]
) -> None:
    children += [start(simulator, postgres_url) for _ in range(PROCESSES)]
    for child in children:
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == "ready\n"
    outputs = await asyncio.gather(
        *(asyncio.to_thread(child.communicate, "go\n", timeout=90) for child in children)
    )

    assert [child.returncode for child in children] == [0] * PROCESSES
    outcomes = [json.loads(output.splitlines()[-1]) for output, _ in outputs]
    assert sum(one.get("failed", 0) for one in outcomes) == 0
    # Limits that are looked for one call after the other are not used up in the first minute
    assert sum(one.get("answered", 0) for one in outcomes) >= 1.5 * POOLED

    refused: dict[str, list[datetime]] = defaultdict(list)
    for exchange in simulator.log:
        if exchange.status == 429:
            refused[exchange.provider].append(exchange.at)
    for times in refused.values():
        assert all(later - sooner >= MINUTE for sooner, later in pairwise(times))
