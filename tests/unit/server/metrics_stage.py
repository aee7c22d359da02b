"""An engine of stand-ins whose metrics are known."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from potluck.engine import Engine
from potluck.providers.backend import Backend
from potluck.providers.catalog import Model, Provider, ProviderStatus
from potluck.providers.outages import Outage
from potluck.quota.limiter import NoLimiter
from potluck.quota.windows import Deployment, Use, Window

GROQ = Provider("groq", "groq", None, ("K",), (Model("groq", "m"), Model("groq", "n")))
BACKENDS = tuple(Backend(GROQ, model, SecretStr("key"), None) for model in GROQ.models)
ACCOUNT = BACKENDS[0].deployment.key_id
STATUSES = (
    ProviderStatus(GROQ, on=True, reason="key set"),
    ProviderStatus(Provider("cohere", "openai", None, ("C",), ()), on=False, reason="C not set"),
)
DAY = Window("groq/m:requests/day", "requests", "day", 10, "UTC")
TIGHT = Window("groq/m:requests/day/policy", "requests", "day", 5, "UTC")
ACCOUNT_WIDE = Window("groq/*:tokens/minute", "tokens", "minute", 6000)


@dataclass
class Attended:
    """Stands in for the chain."""

    outage: Outage | None = None

    def attendance(self) -> list[tuple[Backend, Outage | None]]:
        return [(BACKENDS[0], self.outage), (BACKENDS[1], None)]


class Used(NoLimiter):
    """Tells the same windows of every model."""

    def __init__(self, used: float = 4) -> None:
        self.used = used

    async def uses(self, deployment: Deployment) -> list[Use]:  # noqa: ARG002 # the limiter's
        return [Use(DAY, self.used), Use(TIGHT, 1), Use(ACCOUNT_WIDE, 1000)]


def stocked_engine(engine: Engine) -> Engine:
    chain: Any = Attended()
    return replace(engine, statuses=STATUSES, chain=chain, limiter=Used())
