"""Takes over changes of config/providers.yaml and config/limits.yaml while calls go on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from potluck.errors import ConfigError
from potluck.providers.catalog import Catalog, Model, Provider
from potluck.providers.catalog_file import LIMITS_FILE, PROVIDERS_FILE, load_catalog
from potluck.quota.limits import Limits, Resets

LOOK_EVERY_S = 2.0

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int] | None, ...]


class CatalogWatch:
    """Reads the files again when one of them changes, and hands on what they say.

    A wrong file changes nothing and is logged once. Limits, routes and policy are taken over; of
    anything else the log says that it needs a restart.
    """

    def __init__(
        self,
        config_dir: Path,
        catalog: Catalog,
        on_change: Callable[[Catalog], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._config_dir = config_dir
        self._catalog = catalog
        self._on_change = on_change
        self._sleep = sleep
        self._stamp = _stamp_of(config_dir)

    async def run(self) -> None:
        """Look every two seconds, until cancelled."""
        while True:
            await self._sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> bool:
        """Read the files if they have changed; whether what they say holds now."""
        stamp = await asyncio.to_thread(_stamp_of, self._config_dir)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            catalog = await asyncio.to_thread(load_catalog, self._config_dir)
        except ConfigError as error:
            _log.warning("%s What held before goes on holding.", error)
            return False
        if catalog == self._catalog:
            return False
        for name in _fixed_changes(self._catalog, catalog):
            _log.warning("%s of %s changed: restart to use it.", name, self._config_dir)
        self._catalog = catalog
        self._on_change(catalog)
        _log.info("Limits, routes and policy of %s are in force.", self._config_dir)
        return True


def _stamp_of(config_dir: Path) -> _Stamp:
    return tuple(_stamp(config_dir / name) for name in (PROVIDERS_FILE, LIMITS_FILE))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _fixed_changes(before: Catalog, after: Catalog) -> list[str]:
    """The providers that were added or removed, or whose models or address changed."""
    names = {**before.providers, **after.providers}
    return [
        f"`{name}`"
        for name in names
        if _fixed(before.providers.get(name)) != _fixed(after.providers.get(name))
    ]


def _fixed(provider: Provider | None) -> Provider | None:
    """The provider without everything that may change while it is in use."""
    if provider is None:
        return None
    return replace(
        provider,
        models=tuple(_fixed_model(model) for model in provider.models),
        limits=Limits(),
        set_by_user=frozenset(),
        resets=Resets(),
        keys_share_limits=False,
        stop_at=1.0,
    )


def _fixed_model(model: Model) -> Model:
    return replace(
        model, limits=Limits(), set_by_user=frozenset(), checked_on=None, source=None, price=None
    )
