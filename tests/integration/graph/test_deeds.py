"""A tool call that changes something is begun once for each run, whoever makes it."""

import asyncio

import pytest
from langchain_core.runnables import RunnableConfig

from nodes.deeds import Deed, begin
from potluck.pool import Pool

pytestmark = pytest.mark.integration

CALL = Deed("run", "task", "thread")


async def test_the_second_who_begins_it_is_told_so(pool: Pool) -> None:
    assert await begin(CALL, pool)
    assert not await begin(CALL, pool)


async def test_of_many_at_once_one_begins(pool: Pool) -> None:
    begun = await asyncio.gather(*(begin(CALL, pool) for _ in range(20)))
    assert sum(begun) == 1


async def test_another_call_and_another_run_begin_for_themselves(pool: Pool) -> None:
    others = [Deed("run", "other task", "thread"), Deed("other run", "task", "thread")]
    assert await begin(CALL, pool)
    assert [await begin(one, pool) for one in others] == [True, True]


async def test_what_earlier_runs_of_the_thread_did_is_forgotten(pool: Pool) -> None:
    await begin(CALL, pool)
    await begin(Deed("later run", "task", "thread"), pool)
    await begin(Deed("a run", "task", "another thread"), pool)
    async with pool.connection() as connection:
        rows = await connection.execute("SELECT run_id FROM deeds ORDER BY run_id")
        assert await rows.fetchall() == [("a run",), ("later run",)]


@pytest.mark.parametrize(
    ("config", "deed"),
    [
        (
            {"configurable": {"run_id": "r", "checkpoint_ns": "tools:t", "thread_id": "th"}},
            Deed("r", "t", "th"),
        ),
        (
            {"configurable": {"checkpoint_ns": "a:b|tools:t", "thread_id": "th"},
             "metadata": {"run_id": "r"}},
            Deed("r", "t", "th"),
        ),
        ({"configurable": {"checkpoint_ns": "tools:t"}}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_a_call_is_known_by_its_run_and_task(config: RunnableConfig, deed: Deed | None) -> None:
    assert Deed.of(config) == deed
