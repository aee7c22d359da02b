"""What all servers on a database know: in memory here, and in one of its tables."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import ClassVar, Self

from potluck.pool import Pool
from potluck.quota.write_behind import REFRESH_S, WriteBehind


class SharedRows[Key: str | tuple[str, ...], Row](ABC):
    """Rows by their keys. What changes is written behind, what others wrote is taken over.

    Without a pool they are forgotten with the process. Made by `open`, closed by `aclose`.
    """

    subject: ClassVar[str]
    """What the rows are, in the words of a log."""
    refresh_s: ClassVar[float] = REFRESH_S
    """How late this server hears of others' changes at most."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._known: dict[Key, Row] = {}
        self._changed: set[Key] = set()
        self._gone: set[Key] = set()
        self._pool: Pool | None = None
        self._behind: WriteBehind | None = None

    @classmethod
    async def open(
        cls, pool: Pool | None, *, clock: Callable[[], datetime], refresh_s: float | None = None
    ) -> Self:
        """What is known by now. Raises psycopg.Error when the table cannot be read."""
        made = cls(clock=clock)
        if pool is not None:
            made._pool = pool
            made._take_over(await made._read(pool))
            made._behind = WriteBehind(
                cls.subject,
                partial(made._flush, pool),
                partial(made._refresh, pool),
                refresh_s=cls.refresh_s if refresh_s is None else refresh_s,
            )
        return made

    async def aclose(self) -> None:
        """Write what was not written yet; the pool stays open."""
        if self._behind is not None:
            await self._behind.aclose()

    def _mark(self, key: Key) -> None:
        """Have the row written, as it is or will be then."""
        self._changed.add(key)
        self._gone.discard(key)
        self._wake()

    def _drop(self, key: Key) -> None:
        """Forget the row, and have others forget it."""
        del self._known[key]
        self._changed.discard(key)
        self._gone.add(key)
        self._wake()

    def _wake(self) -> None:
        if self._behind is not None:
            self._behind.wake()

    async def _flush(self, pool: Pool) -> None:
        if not self._changed and not self._gone:
            # A server that stops while the database is away would wait for nothing
            return
        # In one order everywhere, so that no two servers wait for each other's rows
        rows = {key: self._known[key] for key in sorted(self._changed)}
        gone = sorted(self._gone)
        await self._write(pool, rows, gone)
        self._gone.difference_update(gone)
        self._changed -= {key for key, row in rows.items() if self._known.get(key) is row}

    async def _refresh(self, pool: Pool) -> None:
        await self._flush(pool)
        self._take_over(await self._read(pool))

    @abstractmethod
    async def _read(self, pool: Pool) -> dict[Key, Row]:
        """All rows of the table."""

    @abstractmethod
    async def _write(self, pool: Pool, rows: Mapping[Key, Row], gone: Iterable[Key]) -> None:
        """Keep and drop rows in the table."""

    @abstractmethod
    def _take_over(self, found: dict[Key, Row]) -> None:
        """Know what stands in the table, beside what was not written yet."""
