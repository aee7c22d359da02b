"""Responses that are kept: what is known of one, and what keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

# Any: a response and its items are JSON, checked when they came in
Json = Mapping[str, Any]

ACTIVE = ("queued", "in_progress")
# Of the output, the items that an answer after it needs
SAID = frozenset({"message", "function_call"})
# How many are held without a database
MEMORY_SIZE = 1_000
LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Kept:
    """One response and what it answered; `thread` is what its thread is called, if it has one."""

    tenant: str
    body: Json
    input: Sequence[Json]
    thread: str = ""
    thread_id: str | None = None
    worked_at: datetime = LONG_AGO
    previous_id: str | None = None
    """The response that it leads on from, named by the request or the last of a conversation."""

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """How far it is."""
        return str(self.body["status"])

    @property
    def conversation(self) -> str | None:
        """The conversation that it belongs to."""
        named = self.body.get("conversation")
        return str(named["id"]) if named else None

    @property
    def said(self) -> list[Json]:
        """Of the output, what later answers need to know."""
        return [item for item in self.body["output"] if item.get("type") in SAID]

    @property
    def item_ids(self) -> list[str]:
        """The items that can be referred to."""
        return [str(item["id"]) for item in (*self.input, *self.said) if item.get("id")]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was asked and said in one response, for those that lead on from it."""

    id: str
    thread: str
    input: Sequence[Json]
    said: Sequence[Json]
    status: str


class Shelf(Protocol):
    """Keeps responses; those of another tenant are as if they were not there.

    All methods may raise psycopg.Error.
    """

    async def put(self, kept: Kept) -> None:
        """Keep it, in the place of what it was before; one that was cancelled stays so."""

    async def find(self, tenant: str, response_id: str) -> Kept | None:
        """One response."""

    async def lineage(self, tenant: str, response_id: str) -> list[Exchange]:
        """The response and those before it, the first one first; empty when it is not there."""

    async def latest_in(self, tenant: str, conversation: str) -> str | None:
        """The id of the last response of a conversation."""

    async def items(self, tenant: str, ids: Sequence[str]) -> dict[str, Json]:
        """Those of the items that are kept."""

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Forget it; whether it was there. What leads on from it still can."""

    async def note_work(self, response_id: str) -> str | None:
        """Say that it is being worked on; returns its status."""


class MemoryShelf:
    """Keeps the last responses of this process: for servers without a database of ours."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._deleted: set[str] = set()

    async def put(self, kept: Kept) -> None:
        """As `Shelf` says."""
        before = self._kept.pop(kept.id, None)
        is_cancelled = before is not None and before.status == "cancelled"
        self._kept[kept.id] = before if before is not None and is_cancelled else kept
        while len(self._kept) > MEMORY_SIZE:
            self._kept.pop(next(iter(self._kept)))
        self._deleted &= self._kept.keys()

    async def find(self, tenant: str, response_id: str) -> Kept | None:
        """As `Shelf` says."""
        found = self._of(tenant, response_id)
        return None if response_id in self._deleted else found

    async def lineage(self, tenant: str, response_id: str) -> list[Exchange]:
        """As `Shelf` says."""
        if await self.find(tenant, response_id) is None:
            return []
        found: list[Exchange] = []
        one = self._of(tenant, response_id)
        while one is not None:
            found.append(Exchange(one.id, one.thread, one.input, one.said, one.status))
            one = self._of(tenant, one.previous_id or "")
        return found[::-1]

    async def latest_in(self, tenant: str, conversation: str) -> str | None:
        """As `Shelf` says."""
        ours = (
            one.id
            for one in reversed(self._kept.values())
            if one.tenant == tenant
            and one.conversation == conversation
            and one.id not in self._deleted
        )
        return next(ours, None)

    async def items(self, tenant: str, ids: Sequence[str]) -> dict[str, Json]:
        """As `Shelf` says."""
        return {
            str(item["id"]): item
            for one in self._kept.values()
            if one.tenant == tenant and one.id not in self._deleted
            for item in (*one.input, *one.said)
            if item.get("id") in ids
        }

    async def delete(self, tenant: str, response_id: str) -> bool:
        """As `Shelf` says."""
        if await self.find(tenant, response_id) is None:
            return False
        self._deleted.add(response_id)
        return True

    async def note_work(self, response_id: str) -> str | None:
        """As `Shelf` says."""
        one = self._kept.get(response_id)
        if one is None or response_id in self._deleted:
            return None
        self._kept[response_id] = replace(one, worked_at=datetime.now(UTC))
        return one.status

    def _of(self, tenant: str, response_id: str) -> Kept | None:
        one = self._kept.get(response_id)
        return one if one is not None and one.tenant == tenant else None
