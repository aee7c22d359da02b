"""The long-term notes of one user, in LangGraph's store."""

import asyncio
import math
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from langgraph.store.base import BaseStore

from potluck.errors import ToolError
from tools.secrecy import holds_secret

MOST_NOTES = 50
MOST_CHARS = 300
TIMEOUT_S = 5.0
KIND = "notes"
ANONYMOUS = "anonymous"
ALL = frozenset({"all", "everything", "*", "すべて", "全部", "全て"})
NOT_HERE = "No long-term notes are kept here: {why}. Tell the user so."
TEXT = "text"
NOTED_AT = "noted_at"
_ID_BYTES = 2
_SIMILAR = 0.6
_WORDS = re.compile(r"[^\W_]+")
_ASCII = re.compile(r"[\x00-\u2e7f]+")
# With the plural's s taken off, as `words_in` does
_COMMON = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "doe", "for", "from"}
    | {"have", "he", "her", "his", "how", "i", "if", "in", "is", "it", "me", "my", "not", "of"}
    | {"on", "or", "our", "she", "so", "that", "the", "their", "them", "they", "thi", "to", "was"}
    | {"we", "what", "when", "where", "which", "who", "will", "with", "you", "your", "user"}
    | {"です", "ます", "した", "して", "する", "いる", "ある", "って", "から", "ので", "こと"}
)


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to remember, and the id by which it is forgotten."""

    id: str
    text: str


def namespace_of(user: str) -> tuple[str, ...]:
    """Where a user's notes are: under what the store's own API lets that user see.

    `user` is who has come in by the LangGraph API's authentication; empty without keys.
    """
    return ("users", user or ANONYMOUS, KIND)


class Notebook:
    """Reads and changes the notes of one user. Raises ToolError when the store does not answer."""

    def __init__(self, store: BaseStore, namespace: tuple[str, ...]) -> None:
        self._store = store
        self._namespace = namespace

    async def notes(self) -> list[Note]:
        """All notes, the oldest first."""
        async with _reached():
            found = await self._store.asearch(self._namespace, limit=2 * MOST_NOTES)
        # The store finds whatever begins like the namespace
        own = [item for item in found if tuple(item.namespace) == self._namespace]
        own.sort(key=lambda item: str(item.value.get(NOTED_AT, "")))
        return [Note(item.key, str(item.value[TEXT])) for item in own if TEXT in item.value]

    async def add(self, text: str) -> Note:
        """Keep one more note; one that is there already stays. Raises ToolError with the fix."""
        text = " ".join(text.split())
        _refuse(text)
        notes = await self.notes()
        for note in notes:
            if note.text.casefold() == text.casefold():
                return note
        if len(notes) >= MOST_NOTES:
            raise ToolError(
                f"There are {MOST_NOTES} notes, and no room for more. Ask the user which to "
                f"forget:\n{listed(notes)}"
            )
        taken = {note.id for note in notes}
        made = next(key for key in _ids() if key not in taken)
        async with _reached():
            value = {TEXT: text, NOTED_AT: datetime.now(UTC).isoformat()}
            await self._store.aput(self._namespace, made, value, index=False)
        return Note(made, text)

    async def remove(self, wanted: str) -> list[Note]:
        """Delete the note with that id or that text, or all. Raises ToolError when unclear."""
        notes = await self.notes()
        gone = notes if wanted.strip().casefold() in ALL else _meant(wanted, notes)
        async with _reached():
            for note in gone:
                await self._store.adelete(self._namespace, note.id)
        return list(gone)


@dataclass(frozen=True, slots=True)
class NoNotebook:
    """Stands where no notes are kept, and says why."""

    why: str = "nothing to keep them in is set up"


_current: ContextVar[Notebook | NoNotebook] = ContextVar("notebook", default=NoNotebook())  # noqa: B039 # frozen


def current_notebook() -> Notebook:
    """The notes of the user whose run this is. Raises ToolError where there are none."""
    found = _current.get()
    if isinstance(found, NoNotebook):
        raise ToolError(NOT_HERE.format(why=found.why))
    return found


@contextmanager
def use_notebook(notebook: Notebook | NoNotebook) -> Iterator[None]:
    """Make this the notebook of the tools called inside."""
    token = _current.set(notebook)
    try:
        yield
    finally:
        _current.reset(token)


def listed(notes: Sequence[Note]) -> str:
    """The notes as models and people read them, one a line."""
    return "\n".join(f"- [{note.id}] {note.text}" for note in notes)


def relevant(notes: Sequence[Note], request: str, *, most_chars: int) -> list[Note]:
    """All notes if they are few, else those that share most words with the request, in their order.

    What is left of the room goes to the newest.
    """
    if len(listed(notes)) <= most_chars:
        return list(notes)
    asked = words_in(request)
    ranked = sorted(enumerate(notes), key=lambda pair: (-_likeness(asked, pair[1].text), -pair[0]))
    kept: set[str] = set()
    left = most_chars
    for _, note in ranked:
        left -= len(listed([note])) + 1
        if left < 0:
            break
        kept.add(note.id)
    return [note for note in notes if note.id in kept]


def words_in(text: str) -> set[str]:
    """What a text is compared by: words, and pairs of signs where words are not set apart."""
    found: set[str] = set()
    for word in _WORDS.findall(text.casefold()):
        if _ASCII.fullmatch(word):
            found.add(word.removesuffix("s") if len(word) > 3 else word)
        else:
            found.update(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    return found - _COMMON


def _likeness(asked: set[str], text: str) -> float:
    words = words_in(text)
    # Long notes share words with everything
    return len(asked & words) / max(1.0, math.sqrt(len(words)))


def _meant(wanted: str, notes: Sequence[Note]) -> list[Note]:
    plain = " ".join(wanted.split()).strip("[]").casefold()
    exact = [note for note in notes if plain in (note.id, note.text.casefold())]
    found = exact or [note for note in notes if plain and plain in note.text.casefold()]
    if not found:
        asked = words_in(plain)
        shares = [len(asked & words_in(note.text)) / max(1, len(asked)) for note in notes]
        best = max([_SIMILAR, *shares])
        found = [note for note, share in zip(notes, shares, strict=True) if share == best]
    if not found:
        there = f" The notes are:\n{listed(notes)}" if notes else " There are no notes."
        raise ToolError(f"No note is like that.{there}")
    if len(found) > 1:
        raise ToolError(f"Several notes are like that; name one by its id:\n{listed(found)}")
    return list(found)


def _refuse(text: str) -> None:
    if not text:
        raise ToolError("There is nothing to remember. Give the fact as one short sentence.")
    if holds_secret(text):
        raise ToolError(
            "This looks like a key, a password or a card number: such things are not kept in "
            "notes. Tell the user that it was not noted."
        )
    if len(text) > MOST_CHARS:
        raise ToolError(
            f"A note has at most {MOST_CHARS} characters, this one {len(text)}. Say it shorter, or "
            "write it to a file."
        )


def _ids() -> Iterator[str]:
    while True:
        yield secrets.token_hex(_ID_BYTES)


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    """What is done to the store inside is done in time, or fails in words."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except (TimeoutError, psycopg.Error, OSError) as error:
        raise ToolError(
            "The notes cannot be reached just now. Go on without them, and tell the user.",
            may_pass=True,
        ) from error
