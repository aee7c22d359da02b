"""The ledger that calls go through: exact with the database, careful from memory without it."""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

import psycopg
import structlog

from potluck.quota.ledger import Claim, Held, Ledger, WindowFullError
from potluck.quota.memory_ledger import MemoryLedger
from potluck.quota.rations import Batch, Rations
from potluck.quota.windows import Amounts, Use, Window

PROBE_S = 1.0
# A call waits no longer than this for the ledger to be written up after an outage.
WAIT_S = 2.0
_MAX_KNOWN = 10_000
_OUTAGE = (psycopg.Error, TimeoutError)
# The database is there, but not for this statement.
_REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError)

logger = structlog.get_logger(__name__)


class ExactLedger(Ledger, Protocol):
    """What is asked of the ledger in the database, beside a Ledger's promises."""

    @property
    def live_holders(self) -> int:
        """How many processes share the ledger, this one included."""

    async def beat(self) -> None:
        """Reach the database, or raise psycopg.Error or TimeoutError."""

    async def abandon_doubtful(self) -> None:
        """Give back reservations of which nobody knows whether they were made."""

    async def restore(self, batch: Batch) -> None:
        """Write calls down that were admitted elsewhere."""


class SteadyLedger:
    """A Ledger that does not fail when the database does.

    While the database is out, calls are admitted by the uses last seen (see Rations), and it is
    probed every `probe_s`. Once it is back, what was used meanwhile is written into it, and calls
    go through it again. `clock` should be the one that the exact ledger goes by.
    """

    def __init__(
        self, exact: ExactLedger, clock: Callable[[], datetime], *, probe_s: float = PROBE_S
    ) -> None:
        self._exact = exact
        self._clock = clock
        self._probe_s = probe_s
        self._known: OrderedDict[str, Use] = OrderedDict()
        self._under_way: Counter[str] = Counter()
        self._open: dict[str, list[str]] = {}
        self._late: OrderedDict[str, tuple[Held, Amounts | None]] = OrderedDict()
        self._rations: Rations | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._calm = asyncio.Event()
        self._calm.set()
        # For claims that the database cannot take, such as in a time zone that it does not know.
        self._aside = MemoryLedger(clock)
        self._accounts_aside: set[str] = set()

    async def reserve(self, claim: Claim) -> Held:
        """Take all windows or none, as `Ledger.reserve` promises, whether the database is there."""
        await self._wait_for_calm()
        if self._rations is None:
            try:
                held = await self._exact.reserve(claim)
            except WindowFullError as error:
                self._remember(error.uses)
                raise
            except psycopg.DataError as error:
                return self._take_aside(claim, error)
            except _OUTAGE as error:
                rations = self._go_on_without(error)
            else:
                self._remember(held.uses)
                self._begin(held.id, claim.windows)
                return held
        else:
            rations = self._rations
        return rations.take(claim)

    async def settle(self, held: Held, used: Amounts | None) -> None:
        """Replace what is held by what was used, as `Ledger.settle` promises."""
        await self._wait_for_calm()
        if held.claim.account in self._accounts_aside:
            self._aside.replace(held, used)
        self._end(held.id)
        if self._rations is not None:
            if not self._rations.settle(held, used):
                self._settle_late(held, used)
            return
        try:
            await self._exact.settle(held, used)
        except _OUTAGE as error:
            self._settle_late(held, used)
            self._go_on_without(error)

    async def renew(self, held: Held) -> None:
        """Count what is held from now on, as `Ledger.renew` promises."""
        await self._wait_for_calm()
        if held.claim.account in self._accounts_aside:
            self._aside.postpone(held)
        if self._rations is not None:
            self._rations.renew(held)
            return
        try:
            await self._exact.renew(held)
        except _OUTAGE as error:
            self._go_on_without(error)

    async def retain(self, held: Held, for_s: float) -> None:
        """Count what is held a little longer, as `Ledger.retain` promises.

        While the database is out it counts to its window's end.
        """
        await self._wait_for_calm()
        if held.claim.account in self._accounts_aside:
            self._aside.let_end(held, for_s)
        self._end(held.id)
        used = held.claim.amounts
        if self._rations is not None:
            if not self._rations.retain(held, for_s):
                self._settle_late(held, used)
            return
        try:
            await self._exact.retain(held, for_s)
        except _OUTAGE as error:
            self._settle_late(held, used)
            self._go_on_without(error)

    async def note_use(self, account: str, window: Window, at_least: float) -> None:
        """Count what the provider knows and we did not, as `Ledger.note_use` promises."""
        await self._wait_for_calm()
        if self._rations is None:
            try:
                await self._exact.note_use(account, window, at_least)
            except psycopg.DataError:
                self._aside.note(account, window, at_least)
                return
            except _OUTAGE as error:
                self._go_on_without(error)
            else:
                return
        if self._rations is not None:
            self._rations.note(account, window, at_least)

    async def uses(self, windows: Sequence[Window]) -> list[Use]:
        """How much of each window is used now."""
        if self._rations is None:
            try:
                uses = await self._exact.uses(windows)
            except psycopg.DataError:
                return self._aside.uses_now(windows)
            except _OUTAGE as error:
                return self._go_on_without(error).uses(windows)
            self._remember(uses)
            return uses
        return self._rations.uses(windows)

    async def aclose(self) -> None:
        """Write what the database was not told, if it is there, and give back the rest."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait({self._recovery})
        if self._rations is not None:
            await self._recover_once(self._rations)
        with contextlib.suppress(*_OUTAGE):
            await self._exact.aclose()

    def _go_on_without(self, error: Exception) -> Rations:
        if self._rations is None:
            replicas = self._exact.live_holders
            self._rations = Rations(
                self._clock, dict(self._known), replicas=replicas, under_way=self._under_way
            )
            self._recovery = asyncio.create_task(self._recover(self._rations))
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning(
                "The database is out: quota is counted in memory until it is back.",
                reason=reason,
                replicas=replicas,
            )
        return self._rations

    async def _recover(self, rations: Rations) -> None:
        while True:
            await asyncio.sleep(self._probe_s)
            if await self._recover_once(rations):
                return

    async def _recover_once(self, rations: Rations) -> bool:
        try:
            await self._exact.beat()
            self._calm.clear()
            await self._write(rations)
        except _OUTAGE:
            return False
        finally:
            self._calm.set()
        logger.warning("The database is back: quota is counted in it again.")
        return True

    async def _write(self, rations: Rations) -> None:
        """Write all that happened meanwhile; with the last of it, calls use the database again."""
        await self._exact.abandon_doubtful()
        while not (rations.is_written and not self._late):
            for batch in rations.batches():
                await self._unless_refused(self._exact.restore(batch), batch.account)
                rations.written(batch)
                for spent in batch.spent:
                    if spent.is_open:
                        self._begin(spent.id, spent.windows)
            for id_, (held, used) in list(self._late.items()):
                await self._unless_refused(self._exact.settle(held, used), held.claim.account)
                self._late.pop(id_, None)
                self._end(id_)
        self._rations = None

    async def _unless_refused(self, written: Awaitable[None], account: str) -> None:
        """Await it; what the database cannot take is lost, so that the rest is not."""
        try:
            await written
        except _REFUSED as error:
            self._note_refused(account, error)

    async def _wait_for_calm(self) -> None:
        if not self._calm.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S):
                    await self._calm.wait()

    def _take_aside(self, claim: Claim, error: psycopg.DataError) -> Held:
        self._note_refused(claim.account, error)
        return self._aside.take(claim)

    def _note_refused(self, account: str, error: psycopg.Error) -> None:
        if account not in self._accounts_aside:
            self._accounts_aside.add(account)
            logger.error(
                "The database cannot keep the quota of this account; this process counts it alone.",
                account=account,
                reason=" ".join(str(error).split()),
            )

    def _settle_late(self, held: Held, used: Amounts | None) -> None:
        self._late[held.id] = (held, used)
        if len(self._late) > _MAX_KNOWN:
            self._late.popitem(last=False)

    def _remember(self, uses: Iterable[Use]) -> None:
        for use in uses:
            self._known[use.window.id] = use
            self._known.move_to_end(use.window.id)
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)

    def _begin(self, id_: str, windows: Sequence[Window]) -> None:
        """The call is under way, and the database knows of it."""
        self._open[id_] = calls = [w.id for w in windows if w.unit == "concurrent"]
        self._under_way.update(calls)

    def _end(self, id_: str) -> None:
        for window_id in self._open.pop(id_, ()):
            self._under_way[window_id] -= 1
