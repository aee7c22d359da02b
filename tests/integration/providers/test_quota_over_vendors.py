"""Chains of the real vendors' classes against providers that enforce their limits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import pytest
from pydantic import SecretStr

from potluck.errors import ChainError
from potluck.providers.catalog import Api, Catalog, Limits, Model, Provider, ProviderStatus, Waiting
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.chain import Call, Chain
from potluck.providers.probe import load_classes
from potluck.quota.budgets import Budgets
from potluck.quota.estimates import Estimates
from potluck.quota.learned import Learned
from potluck.quota.limiter import QuotaLimiter, Reservation, Want
from potluck.quota.limits import Resets
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.waiting import Lines
from potluck.quota.windows import Priority
from potluck.simulator.clock import Clock
from potluck.simulator.server import SimulatorServer

# A minute of the simulator lasts 7.5 s: slow enough for what a busy machine is late by
SPEED = 8.0
REFILL = Resets(minute="refill", day="refill")
PACIFIC = Resets(day="America/Los_Angeles")


@dataclass(frozen=True)
class Tier:
    """A simulated provider: its API, the path of its address, its model, and its limits there."""

    api: Api
    path: str
    model: str
    limits: Limits
    resets: Resets = field(default_factory=Resets)


TIERS = {
    "groq": Tier(
        "groq",
        "/openai/v1",
        "openai/gpt-oss-120b",
        Limits(
            requests_per_minute=30,
            requests_per_day=1000,
            tokens_per_minute=8000,
            tokens_per_day=200_000,
        ),
        REFILL,
    ),
    "google_gemini": Tier(
        "gemini",
        "",
        "gemini-3.5-flash-lite",
        Limits(requests_per_minute=15, requests_per_day=500, input_tokens_per_minute=250_000),
        PACIFIC,
    ),
    "openrouter": Tier(
        "openai",
        "/api/v1",
        "openai/gpt-oss-120b:free",
        Limits(requests_per_minute=20, requests_per_day=50),
        Resets(day="UTC"),
    ),
    "together": Tier(
        "together",
        "/v1",
        "openai/gpt-oss-20b",
        Limits(requests_per_minute=10, requests_per_month=200),
    ),
}
# What all of them take in the first minute
POOLED = 30 + 15 + 20 + 10


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(limits=True, speed=SPEED) as server:
        yield server


@dataclass
class Pool:
    """The four tiers behind one chain, in the simulator's time."""

    simulator: SimulatorServer
    chain: Chain
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def clock(self) -> Clock:
        return self.simulator.clock

    async def demand(self, calls: int, minutes: float, priority: Priority) -> None:
        """So many calls, evenly over so many minutes; ends with the last answer."""
        step_s = self.clock.real_s(minutes * 60 / calls)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(calls):
                group.create_task(self._ask(number, priority))
                await asyncio.sleep(max(0.0, began + (number + 1) * step_s - loop.time()))

    async def _ask(self, number: int, priority: Priority) -> None:
        call = Call(priority=priority)
        try:
            await self.chain.runnable(call).ainvoke(f"What is the number {number} good for?")
        except ChainError as error:
            self.outcomes["parked" if error.is_quota and error.back_at else "failed"] += 1
        else:
            self.outcomes["answered"] += 1

    def refusals(self) -> Counter[str]:
        """The 429s that each provider sent."""
        return Counter(one.provider for one in self.simulator.log if one.status == 429)


def statuses_at(url: str, *, limits_known: bool) -> list[ProviderStatus]:
    found = []
    for name, tier in TIERS.items():
        limits = tier.limits if limits_known else Limits()
        model = Model(provider=name, id=tier.model, limits=limits)
        provider = Provider(name, tier.api, None, (), (model,), resets=tier.resets)
        found.append(
            ProviderStatus(
                provider,
                on=True,
                reason="",
                keys=(SecretStr("made-up"),),
                base_url=f"{url}/{name}{tier.path}",
            )
        )
    return found


class LateLimiter(QuotaLimiter):
    """Lets time pass between the room and the call, as a machine with too much to do does."""

    late_s = cycle((0, 5, 1, 3))

    async def reserve_first(
        self,
        wants: Sequence[Want],
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> tuple[int, Reservation]:
        found = await super().reserve_first(wants, priority=priority, patience_s=patience_s)
        await asyncio.sleep(next(self.late_s) / SPEED)
        return found


@pytest.fixture(params=["known", "unknown", "late"])
async def pool(request: pytest.FixtureRequest, simulator: SimulatorServer) -> AsyncIterator[Pool]:
    clock = simulator.clock.now

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(simulator.clock.real_s(seconds))

    statuses = statuses_at(simulator.url, limits_known=request.param != "unknown")
    await load_classes(statuses)
    catalog = Catalog(
        {s.provider.id: s.provider for s in statuses},
        {},
        waiting=Waiting(background_seconds=70),
    )
    made = LateLimiter if request.param == "late" else QuotaLimiter
    limiter = made(
        Budgets(rules_of(catalog)),
        MemoryLedger(clock),
        clock=clock,
        learned=Learned(clock=clock),
        estimates=Estimates(clock=clock),
        lines=Lines(sleep),
    )
    chain = Chain(catalog, statuses, limiter, clock=clock, sleep=sleep)
    yield Pool(simulator, chain)
    await chain.aclose()
    await limiter.aclose()


@pytest.mark.parametrize("pool", ["known"], indirect=True)
async def test_no_provider_has_to_refuse_a_call_when_its_limits_are_known(pool: Pool) -> None:
    """Twice as many calls as there is quota for: all that wait are answered, none is refused."""
    await pool.demand(2 * POOLED, 1.0, "background")
    assert pool.refusals() == {}
    assert pool.outcomes["failed"] == 0
    assert pool.outcomes["answered"] >= 0.97 * 2 * POOLED


@pytest.mark.parametrize("pool", ["late"], indirect=True)
async def test_calls_that_are_sent_seconds_after_their_room_was_taken_meet_no_refusal(
    pool: Pool,
) -> None:
    await pool.demand(2 * POOLED, 1.0, "background")
    assert pool.refusals() == {}
    assert pool.outcomes["failed"] == 0


@pytest.mark.parametrize("pool", ["known"], indirect=True)
async def test_people_who_cannot_be_served_in_time_are_told_when(pool: Pool) -> None:
    await pool.demand(2 * POOLED, 1.0, "interactive")
    assert pool.refusals() == {}
    assert pool.outcomes["failed"] == 0
    assert pool.outcomes["answered"] >= 0.97 * POOLED


@pytest.mark.parametrize("pool", ["unknown"], indirect=True)
async def test_limits_that_nobody_states_cost_one_refusal_in_each_window(pool: Pool) -> None:
    began = pool.clock.elapsed_s()
    await pool.demand(2 * POOLED, 1.0, "background")
    assert pool.outcomes["failed"] == 0
    minutes = 1 + int((pool.clock.elapsed_s() - began) // 60)
    # Groq counts requests and tokens in a minute
    most = {"groq": 2 * minutes}
    for provider, refused in pool.refusals().items():
        assert refused <= most.get(provider, minutes)


async def test_a_model_of_one_call_at_a_time_is_never_asked_twice_at_once(
    simulator: SimulatorServer,
) -> None:
    model = Model(provider="ollama", id="qwen3:0.6b")
    provider = Provider(
        "ollama", "ollama", None, (), (model,), limits=Limits(concurrent_requests=1)
    )
    status = ProviderStatus(provider, on=True, reason="", base_url=f"{simulator.url}/ollama")
    catalog = Catalog({"ollama": provider}, {})
    clock = simulator.clock.now
    limiter = QuotaLimiter(Budgets(rules_of(catalog)), MemoryLedger(clock), clock=clock)
    chain = Chain(catalog, [status], limiter, clock=clock)

    async def ask() -> None:
        await chain.runnable(Call(priority="background")).ainvoke("hi")

    def under_way() -> int:
        return sum(one.outcome == "open" for one in simulator.log)

    tasks = [asyncio.create_task(ask()) for _ in range(8)]
    busiest = 0
    while not all(task.done() for task in tasks):
        busiest = max(busiest, under_way())
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    assert busiest <= 1
    assert len(simulator.log) == 8
    await chain.aclose()
