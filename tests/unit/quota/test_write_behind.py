"""Writing never delays, is tried again while the database is out, and ends with all written."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import psycopg
import pytest

from potluck.quota import write_behind
from potluck.quota.write_behind import WriteBehind


@dataclass
class Table:
    flushed: int = 0
    refreshed: int = 0
    is_out: bool = False
    written: asyncio.Event = field(default_factory=asyncio.Event)

    async def flush(self) -> None:
        if self.is_out:
            raise psycopg.OperationalError("connection refused")
        self.flushed += 1
        self.written.set()

    async def refresh(self) -> None:
        self.refreshed += 1
        self.written.set()


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "SOON_S", 0.001)
    monkeypatch.setattr(write_behind, "TRY_AGAIN_S", 0.002)


@pytest.fixture
async def behind(table: Table) -> AsyncIterator[WriteBehind]:
    made = WriteBehind("a table", table.flush, table.refresh)
    yield made
    await made.aclose()


async def test_many_changes_at_once_are_written_together(table: Table, behind: WriteBehind) -> None:
    for _ in range(100):
        behind.wake()
    await table.written.wait()
    await asyncio.sleep(0.01)
    assert table.flushed == 1


async def test_what_is_left_is_written_on_closing(table: Table) -> None:
    made = WriteBehind("a table", table.flush, table.refresh)
    made.wake()
    await made.aclose()
    assert table.flushed >= 1


async def test_an_outage_is_logged_once_and_made_up_for(
    table: Table, behind: WriteBehind, caplog: pytest.LogCaptureFixture
) -> None:
    table.is_out = True
    with caplog.at_level(logging.WARNING):
        behind.wake()
        await asyncio.sleep(0.03)
        table.is_out = False
        await asyncio.wait_for(table.written.wait(), 1)
    assert [record.message for record in caplog.records] == [
        "a table is not written for now: connection refused"
    ]


async def test_what_others_wrote_is_read_again_and_again(table: Table) -> None:
    made = WriteBehind("a table", table.flush, table.refresh, refresh_s=0.002)
    await asyncio.wait_for(table.written.wait(), 1)
    assert table.refreshed >= 1
    await made.aclose()
