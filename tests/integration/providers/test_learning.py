"""Limits that no catalog knows cost at most one refusal; then nothing is sent in vain."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from pydantic import SecretStr

from potluck.errors import ProviderError
from potluck.providers.backend import Backend
from potluck.providers.catalog import Api, Catalog, Model, Provider
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.link import Link
from potluck.quota.budgets import Budgets, is_limited
from potluck.quota.estimates import Estimates
from potluck.quota.learned import Learned
from potluck.quota.limiter import QuotaLimiter, RefusedError
from potluck.quota.limits import Limits, Resets
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.windows import Use
from potluck.simulator.reply import Reply, Usage
from potluck.simulator.server import SimulatorServer

pytestmark = pytest.mark.integration

# id: its API, the path of its base URL, a model, what it lets through in a minute, and how many
# refusals it takes to know: none where headers tell
VENDORS: dict[str, tuple[Api, str, str, int, int]] = {
    "cohere": ("openai", "/v1", "command-a-03-2025", 20, 0),
    "google_gemini": ("gemini", "", "gemini-3.8-flash", 5, 1),
    "groq": ("groq", "/openai/v1", "openai/gpt-oss-120b", 30, 1),
    "mistral": ("openai", "/v1", "mistral-small-latest", 60, 0),
    "nvidia": ("openai", "/v1", "openai/gpt-oss-120b", 40, 1),
    "openrouter": ("openai", "/api/v1", "openai/gpt-oss-120b:free", 20, 1),
    "sambanova": ("openai", "/v1", "gpt-oss-120b", 20, 0),
    "together": ("together", "/v1", "openai/gpt-oss-20b", 10, 0),
}


@pytest.fixture(scope="module")
def _running() -> Iterator[SimulatorServer]:
    with SimulatorServer(limits=True) as server:
        yield server


@pytest.fixture
def simulator(_running: SimulatorServer) -> SimulatorServer:
    _running.script.clear()
    _running.log.clear()
    _running.meter.reset()
    _running.script.on(Reply("Good morning.", usage=Usage(10, 10)))
    return _running


class Asked:
    """A link to one vendor, under limits that nobody knows."""

    def __init__(self, simulator: SimulatorServer, vendor: str) -> None:
        api, path, model_id, self.most, self.refusals = VENDORS[vendor]
        self.simulator = simulator
        model = Model(provider=vendor, id=model_id)
        url = f"{simulator.url}/{vendor}{path}"
        provider = Provider(id=vendor, api=api, base_url=url, api_key_env=(), models=(model,))
        self.backend = Backend(provider, model, SecretStr("made-up"), url)
        self.learned = Learned(clock=self.now)
        self.limiter = QuotaLimiter(
            Budgets(), MemoryLedger(self.now), clock=self.now, learned=self.learned
        )
        self.link = Link(backend=self.backend, limiter=self.limiter, clock=self.now)

    def now(self) -> datetime:
        return self.simulator.clock.now()

    async def ask(self, times: int, *, stream: bool) -> tuple[int, int, int]:
        """How many of the calls were answered, refused by the provider, and refused by us."""
        answered = refused = spared = 0
        for _ in range(times):
            try:
                if stream:
                    async for _ in self.link.astream("Good day?"):
                        pass
                else:
                    await self.link.ainvoke("Good day?")
                answered += 1
            except RefusedError:
                spared += 1
            except ProviderError:
                refused += 1
        return answered, refused, spared

    def limited(self) -> list[Use]:
        uses = self.limiter.known_uses(self.backend.deployment)
        return [use for use in uses if is_limited(use.window)]


async def test_an_answer_that_counts_before_it_is_written_is_held_and_kept_whole(
    simulator: SimulatorServer,
) -> None:
    """Of 60,000 tokens a minute, 16,384 for each answer leave room for three calls."""
    model = Model("cerebras", "gpt-oss-120b", limits=Limits(tokens_per_minute=60_000))
    url = f"{simulator.url}/cerebras/v1"
    provider = Provider(
        "cerebras",
        "openai",
        url,
        (),
        (model,),
        resets=Resets(minute="refill"),
        reserves_output=16_384,
    )
    backend = Backend(provider, model, SecretStr("made-up"), url)
    limiter = QuotaLimiter(
        Budgets(rules_of(Catalog({"cerebras": provider}, {}))),
        MemoryLedger(simulator.clock.now),
        clock=simulator.clock.now,
        estimates=Estimates(clock=simulator.clock.now),
    )
    link = Link(backend=backend, limiter=limiter, clock=simulator.clock.now)
    try:
        for _ in range(3):
            await link.ainvoke("Good day?")
        with pytest.raises(RefusedError):
            await link.ainvoke("Good day?")
        # Whoever asks for less has less counted
        await link.ainvoke("Good day?", max_tokens=500)
    finally:
        await limiter.aclose()
        await backend.aclose()


@asynccontextmanager
async def asked(simulator: SimulatorServer, vendor: str) -> AsyncIterator[Asked]:
    made = Asked(simulator, vendor)
    try:
        yield made
    finally:
        await made.limiter.aclose()
        await made.backend.aclose()


@pytest.mark.parametrize("vendor", sorted(VENDORS))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_unknown_limits_cost_one_refusal_at_most(
    simulator: SimulatorServer, vendor: str, *, stream: bool
) -> None:
    async with asked(simulator, vendor) as vendors:
        answered, refused, spared = await vendors.ask(vendors.most + 6, stream=stream)
        assert refused <= vendors.refusals
        # What flows back while the test runs is a call or two
        assert vendors.most <= answered <= vendors.most + 3
        assert spared >= 2
        assert vendors.limited()
