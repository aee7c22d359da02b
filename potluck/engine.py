"""The engine: what nodes and doors share in one process, built once, closed in order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from potluck.providers.availability import statuses
from potluck.providers.catalog import Catalog, ProviderStatus
from potluck.providers.catalog_file import load_catalog
from potluck.providers.chain import Chain
from potluck.providers.tombstone_file import TombstoneFile
from potluck.providers.tombstones import Tombstones
from potluck.quota.limiter import RateLimiter
from potluck.settings import Settings
from tools.policies import Policies, load_policies
from tools.registry import REGISTRY


@dataclass(frozen=True)
class Engine:
    """Settings, catalog, chain of models and workspaces of this process."""

    settings: Settings
    catalog: Catalog
    statuses: tuple[ProviderStatus, ...]
    chain: Chain
    policies: Policies = field(default_factory=Policies)

    @property
    def home(self) -> Path:
        """The folder that holds everything Potluck writes."""
        return self.settings.potluck_home

    async def aclose(self) -> None:
        """Close the connections to providers; the next `current` builds an engine anew."""
        _shared.pop(asyncio.get_running_loop(), None)
        await self.chain.aclose()

    @classmethod
    async def build(cls, settings: Settings | None = None) -> "Engine":
        """Read the configuration, see who is there, and make the chain.

        Raises ConfigError or SettingError when a file or setting makes no sense.
        """
        # Reading files would block the event loop of the development server.
        if settings is None:
            settings = await asyncio.to_thread(Settings.load)
        catalog = await asyncio.to_thread(load_catalog, settings.potluck_config_dir)
        found = tuple(await statuses(catalog, settings))
        limiter = RateLimiter(_now)
        tombstones = await Tombstones.open(TombstoneFile(settings.potluck_home), clock=_now)
        chain = Chain(catalog, found, limiter, clock=_now, tombstones=tombstones)
        names = [entry.tool.name for entry in REGISTRY]
        policies = await asyncio.to_thread(load_policies, settings.potluck_config_dir, names)
        return cls(settings, catalog, found, chain, policies)


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
