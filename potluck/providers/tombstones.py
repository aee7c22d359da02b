"""Models that are gone: since when, why, what takes their place; remembered over restarts."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol, Self

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.catalog import Model

_log = logging.getLogger(__name__)

_READ_AGAIN_AFTER = timedelta(seconds=30)
_CLOSE_TIMEOUT_S = 5.0
_NOT_FREE = re.compile(r"(?i)\blimit:? 0(?![\d.])|requires a subscription")
_GONE = re.compile(
    r"(?i)decommissioned|end of life|retired|no longer (?:available|supported)"
    # NVIDIA calls its models functions, and names them by a number
    r"|function .{0,60}not found for account"
)

Cause = Literal["gone", "not_free"]
Place = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A model that its provider does not serve any more, or not for free.

    It stands for the address that said so: a simulator says nothing about the real provider.
    `replacement` is the catalog's, a model of the same provider.
    """

    provider: str
    model: str
    address: str | None
    since: datetime
    cause: Cause
    why: str
    replacement: str | None = None

    @property
    def ref(self) -> str:
        """`provider/model-id`."""
        return f"{self.provider}/{self.model}"

    @property
    def place(self) -> Place:
        """What it stands for: one model at one address."""
        return self.ref, self.address

    def __str__(self) -> str:
        words = "gone" if self.cause == "gone" else "not free"
        return f"{words} since {self.since:%Y-%m-%d}: {self.why}"

    def error(self) -> ProviderError:
        """The failure of a call that need not be made."""
        fault = ProviderFault(ErrorKind.MODEL_GONE, ErrorScope.MODEL, str(self))
        return ProviderError(self.provider, self.model, fault)


class TombstoneStore(Protocol):
    """Where tombstones outlive the process. Its methods raise OSError when they cannot."""

    async def load(self) -> tuple[Tombstone, ...]:
        """All that are kept."""

    async def put(self, tombstone: Tombstone) -> None:
        """Keep this one, in place of an older one for the same model and address."""

    async def remove(self, places: Iterable[Place]) -> None:
        """Forget these."""


class TombstoneMemory:
    """A TombstoneStore that ends with the process."""

    def __init__(self) -> None:
        self._kept: dict[Place, Tombstone] = {}

    async def load(self) -> tuple[Tombstone, ...]:
        """All that are kept."""
        return tuple(self._kept.values())

    async def put(self, tombstone: Tombstone) -> None:
        """Keep this one."""
        self._kept[tombstone.place] = tombstone

    async def remove(self, places: Iterable[Place]) -> None:
        """Forget these."""
        for place in places:
            self._kept.pop(place, None)


class Tombstones:
    """The tombstones of this process, backed by a store that others write to as well.

    Made by `open`, closed by `aclose`. Looking one up asks nothing outside; what others have
    changed is read in the background every half minute.
    """

    def __init__(
        self,
        store: TombstoneStore,
        *,
        clock: Callable[[], datetime],
        kept: Iterable[Tombstone] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept = {tombstone.place: tombstone for tombstone in kept}
        self._unwritten: dict[Place, Tombstone] = {}
        self._accounts: dict[Place, set[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._read_at = clock()

    @classmethod
    async def open(cls, store: TombstoneStore, *, clock: Callable[[], datetime]) -> Self:
        """With what the store has kept; with nothing, and a warning, if it cannot be read."""
        return cls(store, clock=clock, kept=await _load(store))

    def find(self, model: Model, address: str | None) -> Tombstone | None:
        """What stands against this model there; nothing once the catalog knows better.

        An entry of the catalog whose `checked_on` is later than the tombstone has overruled it.
        """
        self._read_again()
        if not self._kept:
            return None
        tombstone = self._kept.get((model.ref, address))
        if tombstone is None or _is_overruled(tombstone, model):
            return None
        return tombstone

    def bury(
        self,
        error: ProviderError,
        model: Model,
        address: str | None,
        *,
        account: int = 0,
        accounts: int = 1,
    ) -> Tombstone | None:
        """Put up a tombstone if the error says that the model itself is gone.

        With several keys (`accounts`), all of them have to have met it: one account may be
        refused what another gets. It is written in the background. Needs a running event loop.
        """
        cause = find_cause(error, model)
        if cause is None:
            return None
        place = (model.ref, address)
        met = self._accounts.setdefault(place, set())
        met.add(account)
        if len(met) < accounts:
            return None
        del self._accounts[place]
        tombstone = Tombstone(
            provider=model.provider,
            model=model.id,
            address=address,
            since=self._clock(),
            cause=cause,
            why=error.fault.message,
            replacement=model.replacement,
        )
        self._kept[place] = self._unwritten[place] = tombstone
        self._start(self._write(tombstone))
        return tombstone

    async def revive(self, tombstones: Iterable[Tombstone]) -> None:
        """Forget these: their models are served again. Raises OSError when it cannot be kept."""
        places = [tombstone.place for tombstone in tombstones]
        if not places:
            return
        await self._store.remove(places)
        for place in places:
            self._kept.pop(place, None)
            self._unwritten.pop(place, None)

    async def aclose(self) -> None:
        """Wait for what is still being written."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT_S)

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, tombstone: Tombstone) -> None:
        try:
            await self._store.put(tombstone)
        except OSError as error:
            _log.warning("%s is gone, but that cannot be kept: %s", tombstone.ref, error)
            return
        if self._unwritten.get(tombstone.place) is tombstone:
            del self._unwritten[tombstone.place]

    def _read_again(self) -> None:
        now = self._clock()
        if now - self._read_at < _READ_AGAIN_AFTER or not _in_event_loop():
            return
        self._read_at = now
        self._start(self._read())

    async def _read(self) -> None:
        kept = await _load(self._store)
        self._kept = {tombstone.place: tombstone for tombstone in kept} | self._unwritten


def find_cause(error: ProviderError, model: Model) -> Cause | None:
    """Whether the error says of the model itself that it is gone, or not free; else None.

    A 404 alone does not: a wrong address, an account's settings or what a request asks for
    bring one, too. So the provider must name the model, or say in words that it has ended.
    """
    fault = error.fault
    if fault.kind is not ErrorKind.MODEL_GONE or fault.scope is not ErrorScope.MODEL:
        return None
    if fault.status == 429 or _NOT_FREE.search(fault.message):
        return "not_free"
    name = re.escape(model.id.rpartition("/")[2])
    named = re.search(rf"(?i)(?<![\w-]){name}(?![\w-])", fault.message)
    return "gone" if named or fault.status == 410 or _GONE.search(fault.message) else None


def _is_overruled(tombstone: Tombstone, model: Model) -> bool:
    return model.checked_on is not None and model.checked_on > tombstone.since.date()


async def _load(store: TombstoneStore) -> tuple[Tombstone, ...]:
    try:
        return await store.load()
    except OSError as error:
        _log.warning("which models are gone cannot be read: %s", error)
        return ()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
