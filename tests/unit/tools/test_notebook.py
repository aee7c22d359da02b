"""Long-term notes: one user's own, few, short, without secrets."""

from typing import Any

import psycopg
import pytest
from langgraph.store.memory import InMemoryStore

from potluck.errors import ToolError
from tools.notebook import (
    MOST_CHARS,
    MOST_NOTES,
    NoNotebook,
    Note,
    Notebook,
    namespace_of,
    relevant,
    use_notebook,
)
from tools.notes import forget, remember


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def notebook(store: InMemoryStore) -> Notebook:
    return Notebook(store, namespace_of("alice"))


async def test_a_note_is_kept_and_forgotten_by_id_or_words(notebook: Notebook) -> None:
    with use_notebook(notebook):
        assert "Noted as [" in await remember.ainvoke({"text": "I am  vegetarian"})
        await remember.ainvoke({"text": "I live in Kyoto"})
        first, second = await notebook.notes()
        assert (first.text, second.text) == ("I am vegetarian", "I live in Kyoto")
        assert "vegetarian" in await forget.ainvoke({"note": f"[{first.id}]"})
        assert await forget.ainvoke({"note": "kyoto"}) == "Forgotten: I live in Kyoto"
        assert await notebook.notes() == []


async def test_another_user_sees_and_deletes_nothing_of_it(
    store: InMemoryStore, notebook: Notebook
) -> None:
    note = await notebook.add("I am vegetarian")
    for other in ("", "alic", "alice2", "alice/x", "bob"):
        theirs = Notebook(store, namespace_of(other))
        assert await theirs.notes() == []
        with pytest.raises(ToolError, match="no notes"):
            await theirs.remove(note.id)
        assert await theirs.remove("all") == []
    assert await notebook.notes() == [note]


async def test_the_same_note_is_kept_once(notebook: Notebook) -> None:
    assert await notebook.add("I like tea") == await notebook.add("i like  TEA")
    assert len(await notebook.notes()) == 1


async def test_notes_are_few_and_short(notebook: Notebook) -> None:
    with pytest.raises(ToolError, match="nothing to remember"):
        await notebook.add(" \n ")
    with pytest.raises(ToolError, match=f"at most {MOST_CHARS}"):
        await notebook.add("word " * 100)
    for number in range(MOST_NOTES):
        await notebook.add(f"fact {number}")
    with pytest.raises(ToolError, match="no room for more"):
        await notebook.add("one more")
    assert len(await notebook.remove("all")) == MOST_NOTES


async def test_what_is_unclear_is_not_forgotten(notebook: Notebook) -> None:
    await notebook.add("I like green tea")
    await notebook.add("I like black tea")
    with pytest.raises(ToolError, match="Several notes"):
        await notebook.remove("tea")
    with pytest.raises(ToolError, match="No note is like that"):
        await notebook.remove("my car")
    assert len(await notebook.notes()) == 2
    assert (await notebook.remove("the user likes black teas"))[0].text == "I like black tea"


@pytest.mark.parametrize(
    "secret",
    [
        "my key is sk-proj-Zk3v9Qm1xT7bLw2nPd8RfY4c",
        "use gsk_4fJk29dLqpZ81mVtR3xYwB7n for groq",
        "My password is hunter2",
        "the PIN of my card: 4821",
        "API key = abc123def",
        "パスワードはsakura123です",
        "card 4111 1111 1111 1111 expires 12/30",
        "postgresql://me:pw@db/x",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
        "the code is 9fK2mQx7Lp4ZtR8vWc3B",
    ],
)
async def test_secrets_are_refused(notebook: Notebook, secret: str) -> None:
    with pytest.raises(ToolError, match="looks like a key"):
        await notebook.add(secret)
    assert await notebook.notes() == []


@pytest.mark.parametrize(
    "fact",
    [
        "I prefer tabs to spaces, and functions under 30 lines",
        "I never write my password into files",
        "My phone number ends in 4821 and I was born on 1990-04-12",
        "My project is at https://github.com/example/some-long-repository-name",
        "The thesis is called internationalization_of_microservices",
        "私はベジタリアンで、京都に住んでいます",
    ],
)
async def test_plain_facts_are_no_secrets(notebook: Notebook, fact: str) -> None:
    assert (await notebook.add(fact)).text == fact


def test_of_many_notes_those_are_shown_that_speak_of_the_request() -> None:
    notes = [Note(f"{n:04x}", f"fact number {n} about something dull") for n in range(40)]
    notes[3] = Note("tea", "The favourite drink is green tea from Uji")
    notes[5] = Note("ja", "好きな食べ物は寿司です")
    english = relevant(notes, "Which drinks do I like, tea or coffee?", most_chars=400)
    assert english[0].id == "tea"
    assert relevant(notes, "寿司のお店を教えて", most_chars=400)[0].id == "ja"
    assert relevant(notes[:5], "anything", most_chars=1_000) == notes[:5]
    assert sum(len(note.text) for note in english) <= 400


async def test_without_a_store_the_tools_say_so() -> None:
    with use_notebook(NoNotebook("this server has no store")):
        for call in (remember.ainvoke({"text": "x"}), forget.ainvoke({"note": "x"})):
            with pytest.raises(ToolError, match="this server has no store"):
                await call


async def test_a_store_that_is_out_is_told_and_may_pass() -> None:
    class Out(InMemoryStore):
        async def asearch(self, *_: Any, **__: Any) -> list[Any]:
            raise psycopg.OperationalError("gone")

    with pytest.raises(ToolError, match="cannot be reached") as caught:
        await Notebook(Out(), namespace_of("")).notes()
    assert caught.value.may_pass


def test_without_keys_the_notes_are_where_the_stores_api_finds_them() -> None:
    assert namespace_of("") == ("users", "anonymous", "notes")
    assert namespace_of("web/u1") == ("users", "web/u1", "notes")
