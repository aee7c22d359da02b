"""Rows that servers share: nothing that changes while rows are written is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from potluck.pool import Pool
from potluck.quota import write_behind
from potluck.quota.shared_rows import SharedRows

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class Table:
    """Stands in for a table, and for the pool that leads to it; writing waits for `may_end`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.ended = asyncio.Event()


class Shelf(SharedRows[str, str]):
    subject = "a shelf"

    def put(self, key: str, row: str) -> None:
        self._known[key] = row
        self._mark(key)

    def take(self, key: str) -> None:
        self._drop(key)

    @property
    def known(self) -> dict[str, str]:
        return self._known

    async def _read(self, pool: Any) -> dict[str, str]:
        return dict(pool.rows)

    async def _write(self, pool: Any, rows: Mapping[str, str], gone: Iterable[str]) -> None:
        pool.begun.set()
        await pool.may_end.wait()
        pool.rows.update(rows)
        for key in gone:
            pool.rows.pop(key, None)
        pool.ended.set()

    def _take_over(self, found: dict[str, str]) -> None:
        self._known = found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "SOON_S", 0.001)


@pytest.fixture
async def table() -> Table:
    return Table()


@pytest.fixture
async def shelf(table: Table) -> AsyncIterator[Shelf]:
    opened = await open_shelf(table)
    yield opened
    table.may_end.set()
    await opened.aclose()


async def open_shelf(table: Table | None, **options: Any) -> Shelf:
    pool: Pool | None = table  # type: ignore[assignment] # a stand-in
    return await Shelf.open(pool, clock=lambda: NOW, **options)


@asynccontextmanager
async def being_written(table: Table) -> AsyncIterator[None]:
    """Within, a write is under way, which has ended afterwards."""
    table.may_end.clear()
    await asyncio.wait_for(table.begun.wait(), 1)
    yield
    table.may_end.set()
    await asyncio.wait_for(table.ended.wait(), 1)


async def test_what_is_in_the_table_is_known_at_once(table: Table) -> None:
    table.rows["a"] = "old"
    shelf = await open_shelf(table)
    assert shelf.known == {"a": "old"}
    await shelf.aclose()


async def test_what_changes_while_it_is_written_is_written_again(
    table: Table, shelf: Shelf
) -> None:
    shelf.put("a", "one")
    async with being_written(table):
        shelf.put("a", "two")
    await shelf.aclose()
    assert table.rows == {"a": "two"}


async def test_what_is_dropped_while_it_is_written_goes(table: Table, shelf: Shelf) -> None:
    shelf.put("a", "one")
    async with being_written(table):
        shelf.take("a")
    await shelf.aclose()
    assert table.rows == {}


async def test_what_comes_back_while_it_is_removed_stays(table: Table, shelf: Shelf) -> None:
    shelf.put("a", "one")
    shelf.take("a")
    async with being_written(table):
        shelf.put("a", "two")
    await shelf.aclose()
    assert table.rows == {"a": "two"}


async def test_what_is_dropped_and_comes_back_before_it_is_written_stays(
    table: Table, shelf: Shelf
) -> None:
    shelf.put("a", "one")
    shelf.take("a")
    shelf.put("a", "two")
    await shelf.aclose()
    assert table.rows == {"a": "two"}


async def test_what_others_write_is_heard_of(table: Table) -> None:
    shelf = await open_shelf(table, refresh_s=0.002)
    table.rows["b"] = "theirs"
    async with asyncio.timeout(1):
        while shelf.known != {"b": "theirs"}:  # noqa: ASYNC110 - a task behind is waited for
            await asyncio.sleep(0.001)
    await shelf.aclose()


async def test_own_words_are_written_before_others_are_heard(table: Table, shelf: Shelf) -> None:
    table.rows["b"] = "theirs"
    shelf.put("a", "mine")
    await shelf._refresh(table)  # type: ignore[arg-type] # a stand-in
    assert shelf.known == {"a": "mine", "b": "theirs"}


async def test_without_a_database_nothing_is_written_and_nothing_fails() -> None:
    shelf = await open_shelf(None)
    shelf.put("a", "one")
    shelf.take("a")
    assert shelf.known == {}
    await shelf.aclose()


async def test_where_nothing_has_changed_closing_waits_for_no_database(table: Table) -> None:
    shelf = await open_shelf(table)
    table.may_end.clear()
    async with asyncio.timeout(1):
        await shelf.aclose()
    assert not table.begun.is_set()
