"""The threads that there are: what they are about, and how one is named."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from langgraph_sdk.client import LangGraphClient

from potluck.server.turn import run_errors, text_of, thread_id_of
from potluck.terminal.screen import printable

# How threads of the terminal are marked in their metadata
MARK = "potluck_terminal"
TITLE = "title"
TITLE_CHARS = 72
SHOWN = 15
# Among the threads that are listed before one's eyes; elsewhere it takes what the list shows
SHORTEST_PREFIX = 4
ID_CHARS = 8
LOOKED_THROUGH = 100
_LISTED_ID = re.compile(rf"[0-9a-fA-F]{{{ID_CHARS}}}(?:-[0-9a-fA-F-]{{0,26}})?")


@dataclass(frozen=True, slots=True)
class ThreadLine:
    """A thread as it is listed."""

    id: str
    title: str
    status: str
    updated_at: datetime


async def recent(client: LangGraphClient, *, limit: int = SHOWN) -> list[ThreadLine]:
    """The threads that were used last, the newest first. Raises RunError."""
    with run_errors():
        found = await client.threads.search(limit=limit, sort_by="updated_at", sort_order="desc")
    # Any: threads are JSON of the LangGraph API
    threads = cast("Sequence[Mapping[str, Any]]", found)
    titles = await asyncio.gather(*(_title(client, thread) for thread in threads))
    return [
        ThreadLine(
            id=str(thread["thread_id"]),
            title=title,
            status=str(thread.get("status") or ""),
            updated_at=_time(thread.get("updated_at")),
        )
        for thread, title in zip(threads, titles, strict=True)
    ]


async def newest_of_terminal(client: LangGraphClient) -> str | None:
    """The thread that a terminal used last; None when there is none. Raises RunError."""
    with run_errors():
        found = await client.threads.search(
            metadata={MARK: True}, limit=1, sort_by="updated_at", sort_order="desc"
        )
    return str(found[0]["thread_id"]) if found else None


async def mark(client: LangGraphClient, thread_id: str, first_message: str) -> None:
    """See to it that the thread is there and known as one of the terminal's. Raises RunError."""
    marks = {MARK: True, TITLE: titled(first_message)}
    with run_errors():
        thread = await client.threads.create(
            thread_id=thread_id, metadata=marks, if_exists="do_nothing"
        )
        if not (thread.get("metadata") or {}).get(MARK):
            # It was begun elsewhere, and keeps its title if it has one
            known = (thread.get("metadata") or {}).get(TITLE)
            await client.threads.update(
                thread_id, metadata={MARK: True, TITLE: known} if known else {MARK: True}
            )


def titled(message: str) -> str:
    """The beginning of a message, as a title."""
    line = " ".join(printable(message).split())
    return line if len(line) <= TITLE_CHARS else f"{line[: TITLE_CHARS - 1]}…"


def meant(name: str, listed: Sequence[ThreadLine], owner: str = "") -> str:
    """The id of the thread that is called so: a number of the list, an id's beginning, a name."""
    if name.isdecimal() and 1 <= int(name) <= len(listed):
        return listed[int(name) - 1].id
    if len(name) >= SHORTEST_PREFIX and (found := _begun_so(name, [one.id for one in listed])):
        return found
    return thread_id_of(name, owner)


async def named(client: LangGraphClient, name: str, owner: str) -> str:
    """The id of the thread that is called so: an id, its beginning as it is listed, a name.

    Raises RunError.
    """
    if not _LISTED_ID.fullmatch(name):
        return thread_id_of(name, owner)
    with run_errors():
        found = await client.threads.search(
            limit=LOOKED_THROUGH, sort_by="updated_at", sort_order="desc"
        )
    return _begun_so(name, [str(one["thread_id"]) for one in found]) or thread_id_of(name, owner)


def _begun_so(name: str, ids: Sequence[str]) -> str | None:
    """The one id that begins so."""
    fitting = [one for one in ids if one.startswith(name.lower())]
    return fitting[0] if len(fitting) == 1 else None


async def _title(client: LangGraphClient, thread: Mapping[str, Any]) -> str:
    told = (thread.get("metadata") or {}).get(TITLE)
    if told:
        return titled(str(told))
    try:
        state = await client.threads.get_state(str(thread["thread_id"]))
    except httpx.HTTPError:
        return ""
    values = cast("Mapping[str, Any]", state).get("values")
    messages = values.get("messages") if isinstance(values, Mapping) else None
    said = (one for one in messages or () if one.get("type") == "human")
    return titled(text_of(next(said, {})))


def _time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return datetime.now(UTC)
