"""Who asks, for as long as a request lasts, and who owns a thread."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from potluck import engine
from potluck.server.address import served

ANONYMOUS = "anonymous"
"""Who owns what is made without keys."""
# In Aegra's table of threads; our own pool looks into another schema first
_OWNERS = "SELECT thread_id, user_id FROM public.thread WHERE thread_id = ANY(%s)"

Role = Literal["user", "admin", "metrics"]
"""`metrics` may read /metrics and nothing else."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the user that owns what is made, what he may, and the key he came with."""

    user: str = ANONYMOUS
    role: Role = "admin"
    key: str = ""
    """The name of the key, shared by all users behind it."""
    is_internal: bool = False

    @property
    def owner(self) -> str:
        """The user; empty where all are one."""
        return "" if self.user == ANONYMOUS else self.user


_caller: ContextVar[Caller | None] = ContextVar("potluck_caller", default=None)


def caller() -> Caller | None:
    """Who asks now; None where no guard has seen the request."""
    return _caller.get()


def acting_user() -> str:
    """For whom this process asks its own LangGraph API now."""
    found = _caller.get()
    return found.user if found else ANONYMOUS


def owner() -> str:
    """Whose chats, responses, calls and kept answers this request works with.

    Empty where all are one.
    """
    found = _caller.get()
    return found.owner if found else ""


@contextmanager
def asked_by(who: Caller) -> Iterator[None]:
    """Inside the block, and in the tasks begun there, `who` asks."""
    token = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(token)


@asynccontextmanager
async def for_owner_of(thread_id: str) -> AsyncIterator[None]:
    """Inside the block, what is asked is asked for the owner of a thread.

    Raises psycopg.Error when the database is away.
    """
    owners = await owners_of([thread_id])
    with asked_by(Caller(owners.get(thread_id, ANONYMOUS))):
        yield


async def owners_of(thread_ids: Iterable[str]) -> dict[str, str]:
    """The owner of each thread that is there. Raises psycopg.Error.

    Under LangGraph's own server, which keeps its threads in memory, nobody is known.
    """
    wanted = list(thread_ids)
    if served() is None or not wanted:
        return {}
    pool = (await engine.current()).pool
    if pool is None:
        return {}
    async with pool.connection() as connection:
        rows = await (await connection.execute(_OWNERS, (wanted,))).fetchall()
    return {str(thread_id): str(user) for thread_id, user in rows}


async def own_of(thread_ids: Iterable[str]) -> frozenset[str]:
    """Those of the threads that the caller may see: his own, an admin all. Raises psycopg.Error."""
    wanted = frozenset(thread_ids)
    who = _caller.get()
    if who is None or who.role == "admin":
        return wanted
    owners = await owners_of(wanted)
    return frozenset(one for one in wanted if owners.get(one) == who.user)
