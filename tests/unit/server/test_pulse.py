"""Whoever asks for a sign of life is told soon, and one question does for all."""

import asyncio

import psycopg
import pytest

from potluck.server.pulse import Pulse


class Database:
    def __init__(self) -> None:
        self.asked = 0
        self.there = asyncio.Event()
        self.error: Exception | None = None
        self.there.set()

    async def answer(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        await self.there.wait()


@pytest.fixture
async def database() -> Database:
    return Database()


async def test_one_question_does_for_all(database: Database) -> None:
    pulse = Pulse(database.answer, fresh_s=60)
    assert all(await asyncio.gather(*(pulse.is_there() for _ in range(9))))
    assert await pulse.is_there()
    assert database.asked == 1


async def test_an_answer_is_not_believed_for_long(database: Database) -> None:
    pulse = Pulse(database.answer, fresh_s=0)
    assert await pulse.is_there()
    database.error = psycopg.OperationalError("gone")
    assert not await pulse.is_there()
    database.error = None
    assert await pulse.is_there()


@pytest.mark.parametrize("error", [psycopg.OperationalError("no"), ConnectionRefusedError()])
async def test_a_refusal_is_no_sign_of_life(database: Database, error: Exception) -> None:
    database.error = error
    assert not await Pulse(database.answer).is_there()


async def test_a_database_that_hangs_is_waited_for_once(database: Database) -> None:
    pulse = Pulse(database.answer, patience_s=0.05, fresh_s=0)
    database.there.clear()
    loop = asyncio.get_running_loop()
    assert not await pulse.is_there()
    began_s = loop.time()
    assert not any([await pulse.is_there() for _ in range(5)])
    assert loop.time() - began_s < 0.04
    assert database.asked == 1
    database.there.set()
    await asyncio.sleep(0.001)
    assert await pulse.is_there()
    await pulse.aclose()


async def test_closing_ends_the_question(database: Database) -> None:
    pulse = Pulse(database.answer, patience_s=0.01)
    database.there.clear()
    await pulse.is_there()
    await pulse.aclose()
    assert len(asyncio.all_tasks()) == 1
