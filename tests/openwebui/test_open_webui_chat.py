"""Chatting in Open WebUI: streams, steps, titles, stop, edit, regenerate."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from playwright.sync_api import StorageState, expect

from potluck.simulator.reply import Delay, Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer
from tests.openwebui.chat_page import ChatPage
from tests.openwebui.conftest import KEY, TITLE
from tests.openwebui.open_webui import OpenWebUI

pytestmark = [pytest.mark.openwebui, pytest.mark.timeout(600)]

WAIT_S = 15.0
Asked = Callable[[], list[ModelRequest]]


@pytest.fixture
def langgraph(
    potluck: PotluckServer, open_webui: OpenWebUI, visitor: StorageState
) -> Iterator[SyncLangGraphClient]:
    """Sees what belongs to the visitor, the one user of that Open WebUI."""
    assert visitor
    with closing(sqlite3.connect(open_webui.data / "webui.db")) as database:
        (user,) = database.execute("SELECT id FROM user").fetchone()
    headers = {"Authorization": f"Bearer {KEY}", "X-OpenWebUI-User-Id": user}
    with get_sync_client(url=potluck.url, headers=headers) as client:
        yield client


def threads(langgraph: SyncLangGraphClient) -> set[str]:
    found = langgraph.threads.search(metadata={"source": "openai"}, limit=100)
    return {thread["thread_id"] for thread in found}


def said(request: ModelRequest) -> list[tuple[str, str]]:
    """The conversation as the model got it, without its instructions."""
    return [(m.role, m.text) for m in request.messages if m.role in {"user", "assistant"}]


def test_an_answer_streams_and_its_steps_can_be_read(
    chat: ChatPage, models: SimulatorServer
) -> None:
    models.script.on(Reply.call("calculator", expression="17*23"), tool="calculator", results=0)
    models.script.on(
        Reply("It is 391, counted word by word.", delay=Delay(per_chunk_s=0.3)), results=1
    )

    chat.say("What is 17*23?")
    expect(chat.answer).to_contain_text("It is 391", timeout=30_000)
    expect(chat.button("Stop")).to_be_visible()
    assert "word by word" not in chat.answer.inner_text()
    chat.wait_for("word by word.")

    thoughts = chat.thoughts()
    assert 'calculator(expression="17*23")' in thoughts
    assert "17*23 = 391" in thoughts


def test_the_chat_gets_a_title_that_leaves_no_trace_in_the_thread(
    chat: ChatPage, langgraph: SyncLangGraphClient, models: SimulatorServer, asked: Asked
) -> None:
    models.script.on(Reply("Four minutes."))
    before = threads(langgraph)

    chat.ask("How long does tea take?", "Four minutes.")
    expect(chat.page).to_have_title(f"{TITLE} / Open WebUI", timeout=30_000)
    expect(chat.page.get_by_text("Why is that so?").first).to_be_visible(timeout=30_000)
    chat.ask("And two cups?", "Four minutes.")

    (thread_id,) = threads(langgraph) - before
    values = langgraph.threads.get_state(thread_id)["values"]
    assert isinstance(values, dict)
    texts = [message["content"] for message in values["messages"]]
    assert texts == ["How long does tea take?", "Four minutes.", "And two cups?", "Four minutes."]
    assert len(asked()) == 2


def test_stop_ends_the_work_and_the_chat_goes_on(
    chat: ChatPage, models: SimulatorServer, asked: Asked
) -> None:
    slow = Reply(" ".join(map(str, range(500))), delay=Delay(per_chunk_s=0.1))
    models.script.on(slow, text="count")
    models.script.on(Reply("Here I am."), text="still there")

    chat.say("Please count")
    expect(chat.answer).to_contain_text("1 2 3", timeout=30_000)
    chat.button("Stop").click()
    chat.wait_for_end()
    chat.picture("stopped")

    (counting,) = [e for e in models.log if e.request in asked()]
    deadline = time.monotonic() + WAIT_S
    while counting.outcome == "open" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert counting.outcome == "client_gone"
    chat.ask("Are you still there?", "Here I am.")
    question, half, _ = said(asked()[-1])
    assert question == ("user", "Please count")
    assert half[0] == "assistant"
    assert half[1].startswith("0 1 2 3")


def test_an_edited_message_takes_the_place_of_the_old_one(
    chat: ChatPage, models: SimulatorServer, asked: Asked
) -> None:
    models.script.on(lambda request: Reply(f"Noted: {request.last_user_text}"))

    chat.ask("My name is Anna", "Noted: My name is Anna")
    chat.ask("I like tea", "Noted: I like tea")
    chat.rewrite("My name is Berta", nth=0)
    chat.wait_for("Noted: My name is Berta")
    expect(chat.questions).to_have_count(1)
    chat.ask("Who am I?", "Noted: Who am I?")

    assert said(asked()[-1]) == [
        ("user", "My name is Berta"),
        ("assistant", "Noted: My name is Berta"),
        ("user", "Who am I?"),
    ]


def test_one_can_go_back_to_the_wording_before_the_edit(
    chat: ChatPage, models: SimulatorServer, asked: Asked
) -> None:
    models.script.on(lambda request: Reply(f"Noted: {request.last_user_text}"))

    chat.ask("My name is Anna", "Noted: My name is Anna")
    chat.rewrite("My name is Berta")
    chat.wait_for("Noted: My name is Berta")
    chat.turn_back()
    chat.wait_for("Noted: My name is Anna")
    chat.ask("Who am I?", "Noted: Who am I?")

    assert said(asked()[-1]) == [
        ("user", "My name is Anna"),
        ("assistant", "Noted: My name is Anna"),
        ("user", "Who am I?"),
    ]


def test_regenerate_asks_again_without_the_old_answer(
    chat: ChatPage, models: SimulatorServer, asked: Asked
) -> None:
    models.script.on(Reply("Heads."), Reply("Tails."), Reply("You are welcome."))

    chat.ask("Toss a coin", "Heads.")
    chat.regenerate()
    chat.wait_for("Tails.")
    assert said(asked()[1]) == [("user", "Toss a coin")]
    chat.ask("Thanks", "You are welcome.")

    assert said(asked()[2]) == [
        ("user", "Toss a coin"),
        ("assistant", "Tails."),
        ("user", "Thanks"),
    ]


def test_a_file_made_in_one_turn_is_there_in_the_next_even_after_an_edit(
    chat: ChatPage, models: SimulatorServer
) -> None:
    run = "print(open('note.txt').read())"
    models.script.on(
        Reply.call("python", code="open('note.txt', 'w').write('tea')"), results=0, text="make"
    )
    models.script.on(Reply.call("python", code=run), results=0, text="read")
    models.script.on(lambda request: Reply(f"Result: {request.tool_results[-1].text}"), results=1)

    chat.ask("Please make a note", "Result:")
    chat.ask("Please read it", "tea")
    chat.rewrite("Please read it again")
    chat.wait_for("tea")
