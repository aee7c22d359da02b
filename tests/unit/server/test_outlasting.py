"""What a run reads and writes is tried until the database is back; all else fails at once."""

import psycopg
import pytest
from psycopg_pool import PoolTimeout
from sqlalchemy.exc import IntegrityError, InterfaceError

from potluck.server.outlasting import outlast


class Work:
    """Fails so often with that error."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times, self.tried = error, times, 0

    async def __call__(self) -> str:
        self.tried += 1
        if self.tried <= self.times:
            raise self.error
        return "done"


def lost(text: str = "connection is closed") -> InterfaceError:
    return InterfaceError("UPDATE", {}, Exception(text))


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the server closed the connection"),
        PoolTimeout("no connection"),
        ConnectionRefusedError(),
        lost(),
    ],
    ids=repr,
)
async def test_waits_for_a_database_that_is_away(error: Exception) -> None:
    work = Work(error, 3)
    assert await outlast(work, retry_s=0) == "done"
    assert work.tried == 4


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DataError("no such value"),
        IntegrityError("INSERT", {}, Exception("a key twice")),
        ValueError("not found"),
    ],
    ids=repr,
)
async def test_whatever_else_is_wrong_is_raised_at_once(error: Exception) -> None:
    work = Work(error, 1)
    with pytest.raises(type(error)):
        await outlast(work, retry_s=0)
    assert work.tried == 1


async def test_does_not_wait_for_ever() -> None:
    work = Work(lost(), 10_000)
    with pytest.raises(InterfaceError):
        await outlast(work, retry_s=0.001, longest_s=0.01)
    assert work.tried < 100
