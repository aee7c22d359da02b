"""Potluck in the quota benchmark: the chain, with the limiter and the ledger that a server has.

A call that no model has quota for ends in ChainError with the time when one is back. A server parks
the run then, and its scheduler takes it up at that time: so does the client here. Every other call
is of an interactive run, the rest of background runs.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ruamel.yaml import YAML

from benchmarks.quota_cells import Ask, LaterError, Run, loop_factory, play
from benchmarks.quota_tiers import TIERS, WARM_UP, Cell, Tier
from potluck.errors import ChainError
from potluck.pool import open_pool
from potluck.providers.catalog import OFFLINE, Catalog, ProviderStatus
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Call, Chain
from potluck.quota.budgets import Budgets
from potluck.quota.estimates import Estimates
from potluck.quota.learned import Learned
from potluck.quota.ledger import Ledger
from potluck.quota.limiter import (
    Limiter,
    NoLimiter,
    QuotaLimiter,
    RefusedError,
    Reservation,
    Want,
)
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.steady_ledger import SteadyLedger
from potluck.quota.windows import Amounts, Deployment, Priority, StatedLimit, Use
from potluck.settings import Settings

UNTOLD_WAIT_S = 60.0
_RESETS = {
    "groq": {"minute_resets": "refill", "day_resets": "refill"},
    "google_gemini": {"day_resets": "America/Los_Angeles"},
    "openrouter": {"day_resets": "UTC"},
}

type Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Books:
    """Where use and what was learned are kept."""

    ledger: Ledger
    learned: Learned
    estimates: Estimates


class Gate:
    """The cell's limiter, once it is closed: warming up uses no quota."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._inner: Limiter = NoLimiter()

    def close(self) -> None:
        """From now on calls need quota."""
        self._inner = self._limiter

    async def reserve(
        self,
        deployment: Deployment,
        estimate: Amounts,
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> Reservation:
        """As the limiter does."""
        return await self._inner.reserve(
            deployment, estimate, priority=priority, patience_s=patience_s
        )

    async def reserve_first(
        self,
        wants: Sequence[Want],
        *,
        priority: Priority = "interactive",
        patience_s: float = 0.0,
    ) -> tuple[int, Reservation]:
        """As the limiter does."""
        return await self._inner.reserve_first(wants, priority=priority, patience_s=patience_s)

    def book(self, refusal: RefusedError) -> None:
        """As the limiter does."""
        self._inner.book(refusal)

    def learn(
        self, deployment: Deployment, stated: Sequence[StatedLimit], *, refused: bool = False
    ) -> None:
        """As the limiter does."""
        self._inner.learn(deployment, stated, refused=refused)

    def known_uses(self, deployment: Deployment) -> Sequence[Use]:
        """As the limiter does."""
        return self._inner.known_uses(deployment)

    async def uses(self, deployment: Deployment) -> list[Use]:
        """As the limiter does."""
        return await self._inner.uses(deployment)


class OfflineAnswerError(Exception):
    """No model answered: what came is the offline model's apology."""


def asker(chain: Chain, clock: Clock) -> Ask:
    """Asks the chain."""

    async def ask(text: str, number: int) -> None:
        priority: Priority = "background" if number % 2 else "interactive"
        try:
            message = await chain.runnable(Call(priority=priority)).ainvoke(text)
        except ChainError as error:
            if not error.is_quota:
                raise
            wait_s = UNTOLD_WAIT_S
            if error.back_at is not None:
                wait_s = (error.back_at - clock()).total_seconds()
            raise LaterError(wait_s, kept=True) from error
        if message.response_metadata.get("model_provider") == OFFLINE:
            raise OfflineAnswerError

    return ask


def catalog_for(cell: Cell, folder: Path) -> Catalog:
    """The catalog as a user would write it, with limits if the cell knows them.

    It has no routes: none of the tiers is preferred, so nobody waits while another is free.
    """
    folder.mkdir()
    providers = {tier.provider: _entry(tier, known=cell.known) for tier in TIERS}
    YAML(typ="safe").dump({"providers": providers}, folder / "providers.yaml")
    return replace(load_catalog(folder), routes={})


def statuses_for(catalog: Catalog, url: str, cell: Cell) -> list[ProviderStatus]:
    """Every tier's provider, on, with the cell's key."""
    return [
        ProviderStatus(
            catalog.providers[tier.provider], on=True, reason="simulated",
            keys=(SecretStr(cell.key),), base_url=f"{url}/{tier.provider}{tier.path}",
        )
        for tier in TIERS
    ]  # fmt: skip


def _entry(tier: Tier, *, known: bool) -> dict[str, object]:
    limits = {_word(tier, name): limit for name, limit in tier.limits.items()}
    if tier.concurrent is not None:
        limits["concurrent_requests"] = tier.concurrent
    shared = {"limits": limits} if known and tier.account_wide else {}
    own = {"limits": limits} if known and not tier.account_wide else {}
    resets = _RESETS.get(tier.provider, {}) if known else {}
    return {
        "api": tier.api,
        "base_url": f"http://simulated.invalid/{tier.provider}",
        "api_key_env": f"{tier.provider.upper()}_API_KEY",
        **shared,
        **resets,
        "models": [{"id": model, **own} for model in tier.models],
    }


def _word(tier: Tier, window: str) -> str:
    period, unit = window.split("_")
    counted = "input_tokens" if unit == "tokens" and tier.input_only else unit
    return f"{counted}_per_{period}"


@contextlib.asynccontextmanager
async def books_for(run: Run) -> AsyncIterator[Books]:
    """What a server keeps of quota, in an embedded PostgreSQL of its own that goes away.

    In memory when time runs fast: a database works at the world's pace, and would seem slow.
    """
    clock = _clock_of(run)
    if run.speed != 1:
        yield Books(MemoryLedger(clock), Learned(clock=clock), Estimates(clock=clock))
        return
    home = await asyncio.to_thread(_make_home)
    try:
        async with contextlib.AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(Settings(potluck_home=home)))
            ledger = SteadyLedger(PostgresLedger(pool), clock)
            stack.push_async_callback(ledger.aclose)
            learned = await Learned.open(pool, clock=clock)
            stack.push_async_callback(learned.aclose)
            estimates = await Estimates.open(pool, clock=clock)
            stack.push_async_callback(estimates.aclose)
            yield Books(ledger, learned, estimates)
    finally:
        await asyncio.to_thread(shutil.rmtree, home)


async def _play(given: dict[str, Any]) -> dict[str, object]:  # Any: JSON from our own side
    cells = [Cell(**cell) for cell in given["cells"]]
    run = Run(**given["run"])
    clock = _clock_of(run)
    async with contextlib.AsyncExitStack() as stack:
        books = await stack.enter_async_context(books_for(run))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="potluck-bench-")))
        asks: list[Ask] = []
        for cell in cells:
            catalog = catalog_for(cell, folder / cell.key)
            limiter = QuotaLimiter(
                Budgets(rules_of(catalog)), books.ledger,
                clock=clock, learned=books.learned, estimates=books.estimates,
            )  # fmt: skip
            stack.push_async_callback(limiter.aclose)
            gate = Gate(limiter)
            chain = Chain(catalog, statuses_for(catalog, given["url"], cell), gate, clock=clock)
            stack.push_async_callback(chain.aclose)
            for model in chain.models():
                await chain.runnable(Call(only=model.ref)).ainvoke(WARM_UP)
            gate.close()
            asks.append(asker(chain, clock))
        return await play(cells, asks, run)


def _make_home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="potluck-bench-"))
    # As root, PostgreSQL runs as a user of its own, who must get in
    home.chmod(0o755)
    return home


def _clock_of(run: Run) -> Clock:
    return lambda: datetime.fromtimestamp(run.now(), UTC)


def main() -> None:
    """Play what the argument says; print the figures as the last line."""
    given = json.loads(sys.argv[1])
    with asyncio.Runner(loop_factory=loop_factory(given["run"]["speed"])) as runner:
        print(json.dumps(runner.run(_play(given))))


if __name__ == "__main__":
    main()
