"""How threads are named, listed and marked."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from potluck.server.turn import thread_id_of
from potluck.terminal.threads import TITLE_CHARS, ThreadLine, mark, meant, named, recent, titled

IDS = ["aaaa1111-1", "aaaa2222-2", "bbbb3333-3"]
LISTED = [ThreadLine(one, "", "idle", datetime.now(UTC)) for one in IDS]


@pytest.mark.parametrize(
    ("name", "thread"),
    [("1", IDS[0]), ("3", IDS[2]), ("bbbb", IDS[2]), ("AAAA2", IDS[1])],
)
def test_a_number_or_the_beginning_of_an_id_means_a_listed_thread(name: str, thread: str) -> None:
    assert meant(name, LISTED) == thread


@pytest.mark.parametrize("name", ["4", "0", "aaaa", "bbb", "trip"])
def test_any_other_name_is_a_name(name: str) -> None:
    assert meant(name, LISTED) == thread_id_of(name)


def test_an_id_is_itself() -> None:
    one = str(uuid.uuid4())
    assert meant(one, LISTED) == one


def test_a_name_is_of_its_owner_as_it_is_at_the_other_doors() -> None:
    assert meant("trip", LISTED, "ann") == thread_id_of("trip", "ann") != thread_id_of("trip")
    assert meant("bbbb", LISTED, "ann") == IDS[2]


THERE = (
    "5f3c2f6e-0d3e-4a55-9f9f-0a1b2c3d4e5f",
    "5f3c2f6e-1111-4a55-9f9f",
    "cafe0123-x",
)


@pytest.mark.parametrize(
    ("name", "thread"),
    [
        ("cafe0123", THERE[2]),
        ("CAFE0123-", THERE[2]),
        ("5f3c2f6e-0", THERE[0]),
        (THERE[0], THERE[0]),
        # What several begin with, or none, what is too short, and what is no part of an id
        ("5f3c2f6e", thread_id_of("5f3c2f6e", "ann")),
        ("cafe9999", thread_id_of("cafe9999", "ann")),
        ("cafe", thread_id_of("cafe", "ann")),
        ("1", thread_id_of("1", "ann")),
        ("trip", thread_id_of("trip", "ann")),
    ],
)
async def test_the_beginning_of_an_id_as_it_is_listed_means_that_thread(
    name: str, thread: str
) -> None:
    client = Threads(*({"thread_id": one} for one in THERE))
    assert await named(client, name, "ann") == thread  # type: ignore[arg-type]


def test_a_title_is_one_line_that_is_not_too_long() -> None:
    assert titled(" one\n two ") == "one two"
    assert len(titled("word " * 50)) == TITLE_CHARS
    assert titled("\x1b]0;x\x07tea") == "]0;xtea"


class Threads:
    """The LangGraph API's threads, as far as they are needed."""

    def __init__(self, *there: dict[str, Any]) -> None:
        self.there = {thread["thread_id"]: thread for thread in there}
        self.updated: list[dict[str, Any]] = []

    @property
    def threads(self) -> "Threads":
        return self

    async def search(self, **_: object) -> list[dict[str, Any]]:
        return list(self.there.values())

    async def create(self, *, thread_id: str, metadata: Any, if_exists: str) -> dict[str, Any]:
        assert if_exists == "do_nothing"
        return self.there.setdefault(thread_id, {"thread_id": thread_id, "metadata": metadata})

    async def update(self, _: str, *, metadata: dict[str, Any]) -> None:
        self.updated.append(metadata)

    async def get_state(self, _: str) -> dict[str, Any]:
        said = {"type": "human", "content": [{"type": "text", "text": "Hello\nthere"}]}
        return {"values": {"messages": [said, {"type": "human", "content": "later"}]}}


async def test_a_thread_is_listed_with_its_title_or_its_first_message() -> None:
    at = "2026-11-21T12:00:00+00:00"
    client = Threads(
        {"thread_id": "a", "metadata": {"title": "T\x1bea\n"}, "status": "idle", "updated_at": at},
        {"thread_id": "b", "metadata": {}, "status": "busy", "updated_at": at},
    )
    listed = await recent(client)  # type: ignore[arg-type]
    assert [(line.id, line.title, line.status) for line in listed] == [
        ("a", "Tea", "idle"),
        ("b", "Hello there", "busy"),
    ]
    assert listed[0].updated_at == datetime(2026, 11, 21, 12, tzinfo=UTC)


async def test_a_new_thread_is_made_with_mark_and_title() -> None:
    client = Threads()
    await mark(client, "a", "Hello")  # type: ignore[arg-type]
    assert client.there["a"]["metadata"] == {"potluck_terminal": True, "title": "Hello"}
    assert client.updated == []


async def test_a_thread_of_another_door_is_marked_and_keeps_its_title() -> None:
    client = Threads({"thread_id": "a", "metadata": {"title": "Tea"}})
    await mark(client, "a", "Hello")  # type: ignore[arg-type]
    assert client.updated == [{"potluck_terminal": True, "title": "Tea"}]
