"""Both shelves keep responses alike: in PostgreSQL, and in memory."""

from datetime import UTC, datetime
from typing import Any

import pytest

from potluck.pool import Pool
from potluck.providers.catalog import Catalog
from potluck.server.openai.responses.kept import Kept, MemoryShelf, Shelf
from potluck.server.openai.responses.kept_table import KeptTable
from potluck.server.retention_tables import TABLES, trim

pytestmark = [pytest.mark.integration]


@pytest.fixture(params=["postgres", "memory"])
def shelf(request: pytest.FixtureRequest, pool: Pool) -> Shelf:
    return KeptTable(pool) if request.param == "postgres" else MemoryShelf()


def kept(name: str, previous: str | None = None, tenant: str = "me", **more: Any) -> Kept:
    body = {
        "id": name,
        "status": "completed",
        "created_at": 1_795_000_000,
        "output": [
            {"id": f"rs_{name}", "type": "reasoning", "summary": []},
            {"id": f"msg_{name}", "type": "message", "role": "assistant", "content": []},
        ],
    }
    asked = [{"id": f"in_{name}", "type": "message", "role": "user", "content": []}]
    return Kept(tenant, body | more, asked, thread="first", thread_id="t", previous_id=previous)


async def test_a_response_is_found_by_its_owner_alone(shelf: Shelf) -> None:
    await shelf.put(kept("a"))

    found = await shelf.find("me", "a")
    assert found is not None
    assert (found.body, found.input) == (kept("a").body, kept("a").input)
    assert (found.thread, found.thread_id, found.previous_id) == ("first", "t", None)
    assert await shelf.find("you", "a") is None
    assert await shelf.find("me", "b") is None
    assert await shelf.lineage("you", "a") == []


async def test_the_lineage_of_a_response_is_told_from_its_beginning(shelf: Shelf) -> None:
    for one in (kept("a"), kept("b", "a"), kept("c", "a"), kept("d", "b")):
        await shelf.put(one)

    line = await shelf.lineage("me", "d")
    assert [one.id for one in line] == ["a", "b", "d"]
    assert [item["id"] for item in (*line[0].input, *line[0].said)] == ["in_a", "msg_a"]
    assert [one.id for one in await shelf.lineage("me", "c")] == ["a", "c"]


async def test_what_leads_on_from_a_deleted_response_still_knows_it(shelf: Shelf) -> None:
    await shelf.put(kept("a"))
    await shelf.put(kept("b", "a"))

    assert not await shelf.delete("you", "a")
    assert await shelf.delete("me", "a")
    assert not await shelf.delete("me", "a")
    assert await shelf.find("me", "a") is None
    assert await shelf.lineage("me", "a") == []
    assert [one.id for one in await shelf.lineage("me", "b")] == ["a", "b"]


async def test_nothing_is_left_of_deleted_responses_that_nothing_leads_on_from(pool: Pool) -> None:
    shelf = KeptTable(pool)
    for one in (kept("a"), kept("b", "a"), kept("c", "b"), kept("d")):
        await shelf.put(one)
    for name in ("a", "b", "c"):
        await shelf.delete("me", name)

    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT id FROM responses")).fetchall()
    assert rows == [("d",)]


async def test_the_latest_response_of_a_conversation_is_found(shelf: Shelf) -> None:
    for name, conversation in (("a", "x"), ("b", "x"), ("c", "y")):
        await shelf.put(kept(name, conversation={"id": conversation}))

    assert await shelf.latest_in("me", "x") == "b"
    await shelf.delete("me", "b")
    assert await shelf.latest_in("me", "x") == "a"
    assert await shelf.latest_in("me", "z") is None
    assert await shelf.latest_in("you", "x") is None


async def test_items_are_found_by_their_ids(shelf: Shelf) -> None:
    await shelf.put(kept("a"))
    await shelf.put(kept("b", tenant="you"))

    found = await shelf.items("me", ["msg_a", "in_a", "msg_b", "rs_a"])
    assert found.keys() == {"msg_a", "in_a"}


async def test_a_cancelled_response_stays_so(shelf: Shelf) -> None:
    await shelf.put(kept("a", status="queued"))
    assert await shelf.note_work("a") == "queued"
    await shelf.put(kept("a", status="cancelled"))
    await shelf.put(kept("a", status="completed"))

    found = await shelf.find("me", "a")
    assert found is not None
    assert found.status == "cancelled"
    assert await shelf.note_work("a") == "cancelled"
    assert await shelf.note_work("b") is None


async def test_responses_that_nobody_uses_are_forgotten(pool: Pool) -> None:
    await KeptTable(pool).put(kept("a"))
    await KeptTable(pool).put(kept("b", "a"))
    await KeptTable(pool).put(kept("c"))
    async with pool.connection() as connection:
        await connection.execute("UPDATE responses SET used_at = now() - interval '31 days'")
    # Reading counts as use of the whole line.
    await KeptTable(pool).lineage("me", "b")
    shelf = KeptTable(pool)
    await shelf.put(kept("d"))
    [responses] = [table for table in TABLES if table.kind == "responses"]
    async with pool.connection() as connection:
        everything = Catalog(providers={}, routes={})
        await trim(connection, responses, everything, datetime.now(UTC), dry=False)

    names = [one for one in "abcd" if await shelf.find("me", one) is not None]
    assert names == ["a", "b", "d"]
