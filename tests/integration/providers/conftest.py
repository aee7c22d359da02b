"""Chains of the real vendors' classes over simulated providers."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from potluck.providers.catalog import Api, Catalog, Fallback, Model, Provider, ProviderStatus
from potluck.providers.chain import Chain
from potluck.quota.limiter import NoLimiter
from potluck.simulator.server import SimulatorServer

# id: its API, the path of its base URL, a model
VENDORS: dict[str, tuple[Api, str, str]] = {
    "google_gemini": ("gemini", "", "gemini-3.8-flash"),
    "groq": ("groq", "/openai/v1", "openai/gpt-oss-120b"),
    "huggingface": ("huggingface", "/v1", "openai/gpt-oss-120b"),
    "ollama": ("ollama", "", "qwen3:0.6b"),
    "openrouter": ("openai", "/api/v1", "openai/gpt-oss-120b:free"),
    "together": ("together", "/v1", "openai/gpt-oss-20b"),
}

MakeChain = Callable[..., Chain]


@pytest.fixture(scope="session")
def _running() -> Iterator[SimulatorServer]:
    with SimulatorServer() as server:
        yield server


@pytest.fixture
def simulator(_running: SimulatorServer) -> SimulatorServer:
    _running.script.clear()
    _running.log.clear()
    return _running


@pytest.fixture(params=sorted(VENDORS))
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def make_chain(simulator: SimulatorServer) -> AsyncIterator[MakeChain]:
    """Makes chains over the named vendors, asked in that order; closes them in the end."""
    made: list[Chain] = []

    def make(
        vendors: Sequence[str],
        *,
        key: str | None = "made-up",
        url: str | None = None,
        timeout_s: float = 10.0,
    ) -> Chain:
        statuses = [_status(vendor, key, url or simulator.url) for vendor in vendors]
        # What one try of each model makes of a fault is what is tested
        once = Fallback(max_retries=0)
        catalog = Catalog({s.provider.id: s.provider for s in statuses}, {}, fallback=once)
        chain = Chain(catalog, statuses, NoLimiter(), clock=_now, timeout_s=timeout_s)
        made.append(chain)
        return chain

    yield make
    for chain in made:
        await chain.aclose()


def _status(vendor: str, key: str | None, url: str) -> ProviderStatus:
    api, path, model = VENDORS[vendor]
    provider = Provider(
        id=vendor,
        api=api,
        base_url=None,
        api_key_env=(),
        models=(Model(provider=vendor, id=model),),
    )
    keys = (SecretStr(key),) if key is not None else ()
    return ProviderStatus(provider, on=True, reason="", keys=keys, base_url=f"{url}/{vendor}{path}")


def _now() -> datetime:
    return datetime.now(UTC)
