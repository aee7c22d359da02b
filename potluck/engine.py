"""The engine: what nodes and doors share in one process, built once, closed in order."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from potluck.cache.responses import ResponseCache
from potluck.errors import DatabaseError, StartError
from potluck.pool import Pool, open_pool
from potluck.providers.availability import statuses
from potluck.providers.cached import cache_options
from potluck.providers.catalog import Catalog, Provider, ProviderStatus
from potluck.providers.catalog_budgets import rules_of
from potluck.providers.catalog_file import load_catalog
from potluck.providers.catalog_watch import CatalogWatch
from potluck.providers.chain import Chain
from potluck.providers.shared_outages import SharedOutages
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstones
from potluck.quota.budgets import Budgets
from potluck.quota.call_memory import CallMemory
from potluck.quota.estimates import Estimates
from potluck.quota.history import CallHistory
from potluck.quota.learned import Learned
from potluck.quota.ledger import Ledger
from potluck.quota.limiter import Limiter, NoLimiter, QuotaLimiter
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.parking import ParkedRuns
from potluck.quota.postgres_ledger import PostgresLedger
from potluck.quota.steady_ledger import SteadyLedger
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.probe import find_runner
from potluck.sandbox.runner import NOT_SET_UP, Runner
from potluck.settings import Settings
from tools.mcp import McpServers
from tools.mcp_file import read_mcp_file
from tools.mcp_launch import launch_in
from tools.toolbox import Toolbox, load_toolbox

logger = logging.getLogger(__name__)


@dataclass
class Engine:
    """What this process works with; close it with `aclose`.

    `catalog` is replaced when its files change. Without a database (outside of the server, where
    none can be started) quota, cache and history are this process's own.
    """

    settings: Settings
    catalog: Catalog
    statuses: tuple[ProviderStatus, ...]
    chain: Chain
    toolbox: Toolbox = field(default_factory=Toolbox)
    parking: ParkedRuns = field(default_factory=ParkedRuns)
    limiter: Limiter = field(default_factory=NoLimiter)
    history: CallHistory = field(
        default_factory=lambda: CallHistory(CallMemory(), prices={}, clock=_now)
    )
    runner: Runner = field(default_factory=lambda: NOT_SET_UP)
    pool: Pool | None = None
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def home(self) -> Path:
        """The folder that holds everything Potluck writes."""
        return self.settings.potluck_home

    async def aclose(self) -> None:
        """Close everything in order; the next `current` builds an engine anew."""
        _shared.pop(asyncio.get_running_loop(), None)
        await self.opened.aclose()

    @classmethod
    async def build(cls, settings: Settings | None = None) -> Self:
        """Read the configuration, see who is there, and make the chain.

        Raises ConfigError or SettingError when a file or setting makes no sense, DatabaseError
        when the database of DATABASE_URL cannot be used.
        """
        # Reading files would block the event loop of the development server.
        if settings is None:
            settings = await asyncio.to_thread(Settings.load)
        catalog = await asyncio.to_thread(load_catalog, settings.potluck_config_dir)
        forms = await asyncio.to_thread(read_mcp_file, settings.potluck_config_dir, settings.key)
        found = tuple(await statuses(catalog, settings))
        async with AsyncExitStack() as opened:
            servers = await McpServers.open(forms, launch_in(settings))
            opened.push_async_callback(servers.aclose)
            toolbox = await asyncio.to_thread(load_toolbox, settings, servers.specs)
            pool = await _open_pool(settings, opened)
            limits = await _Limits.open(catalog, found, pool, opened)
            history = CallHistory.open(
                pool,
                prices=catalog.prices(),
                clock=_now,
                keep_days=lambda: made.catalog.usage.keep_days,
            )
            opened.push_async_callback(history.aclose)
            cache = ResponseCache.open(pool, cache_options(catalog.optimization), clock=_now)
            opened.push_async_callback(cache.aclose)
            outages = await SharedOutages.open(pool, clock=_now)
            opened.push_async_callback(outages.aclose)
            chain = Chain(
                catalog,
                found,
                limits.limiter,
                clock=_now,
                tombstones=await Tombstones.open(TombstoneFile(settings.potluck_home), clock=_now),
                recorder=history,
                cache=cache,
                outages=outages,
            )
            opened.push_async_callback(chain.aclose)
            runner = await find_runner(
                settings, workspaces=settings.potluck_home / "workspaces", clock=_now
            )
            opened.push_async_callback(runner.aclose)
            if isinstance(runner, Sandboxes) and runner.each_approved:
                toolbox = toolbox.asking({"python", "shell"})
            await chain.refresh()
            made = cls(
                settings,
                catalog,
                found,
                chain,
                toolbox,
                parking=ParkedRuns(pool),
                limiter=limits.limiter,
                history=history,
                runner=runner,
                pool=pool,
                opened=opened.pop_all(),
            )
        made._watch_catalog(limits)
        return made

    def _watch_catalog(self, limits: "_Limits") -> None:
        """Take over what changes in the catalog's files from now on."""

        def take_over(catalog: Catalog) -> None:
            self.catalog = catalog
            self.chain.apply(catalog)
            limits.apply(catalog)

        watch = CatalogWatch(self.settings.potluck_config_dir, self.catalog, take_over)
        self.opened.push_async_callback(_cancelled, asyncio.create_task(watch.run()))


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limiter, and the budgets that follow the catalog."""

    limiter: QuotaLimiter
    budgets: Budgets
    providers: tuple[Provider, ...]

    @classmethod
    async def open(
        cls,
        catalog: Catalog,
        found: Sequence[ProviderStatus],
        pool: Pool | None,
        opened: AsyncExitStack,
    ) -> Self:
        learned = await Learned.open(pool, clock=_now)
        opened.push_async_callback(learned.aclose)
        estimates = await Estimates.open(pool, clock=_now)
        opened.push_async_callback(estimates.aclose)
        ledger: Ledger = MemoryLedger(_now)
        if pool is not None:
            ledger = SteadyLedger(PostgresLedger(pool), _now)
        opened.push_async_callback(ledger.aclose)
        providers = tuple(status.provider for status in found)
        budgets = Budgets(rules_of(catalog, providers))
        limiter = QuotaLimiter(budgets, ledger, clock=_now, learned=learned, estimates=estimates)
        opened.push_async_callback(limiter.aclose)
        return cls(limiter, budgets, providers)

    def apply(self, catalog: Catalog) -> None:
        """From now on the limits of this catalog hold."""
        self.budgets.replace(rules_of(catalog, self.providers))


async def _open_pool(settings: Settings, opened: AsyncExitStack) -> Pool | None:
    try:
        return await opened.enter_async_context(open_pool(settings))
    except (DatabaseError, StartError) as error:
        if settings.database_url is not None:
            raise
        logger.warning("%s Quota, cache and history are this process's own now.", error)
        return None


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _now() -> datetime:
    return datetime.now(UTC)


_chosen: ContextVar[Engine | None] = ContextVar("potluck_engine", default=None)
_shared: dict[asyncio.AbstractEventLoop, asyncio.Task[Engine]] = {}


async def current() -> Engine:
    """The engine chosen by `use_engine`, else this event loop's own, built at first use."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    loop = asyncio.get_running_loop()
    task = _shared.get(loop)
    if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
        task = loop.create_task(Engine.build())
        _shared[loop] = task
    return await asyncio.shield(task)


@contextmanager
def use_engine(engine: Engine) -> Iterator[Engine]:
    """Make `engine` the current one inside the block and in tasks started there."""
    token = _chosen.set(engine)
    try:
        yield engine
    finally:
        _chosen.reset(token)
