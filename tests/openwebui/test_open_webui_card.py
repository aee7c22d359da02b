"""What asks first, in Open WebUI: the card, and what really ran."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest, ToolCall
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer
from tests.openwebui.chat_page import ChatPage

pytestmark = [pytest.mark.openwebui, pytest.mark.timeout(600)]

Asked = Callable[[], list[ModelRequest]]
TEXT = "Green tea: two minutes."


@pytest.fixture
def written(potluck: PotluckServer) -> Callable[[], set[str]]:
    """The names of the files that are new since the test began, in any workspace."""
    folder = potluck.home / "workspaces"
    before = set(folder.rglob("*"))
    return lambda: {path.name for path in set(folder.rglob("*")) - before if path.is_file()}


@pytest.fixture(autouse=True)
def writer(models: SimulatorServer) -> None:
    """The model writes files, and says what came of it."""
    first = ToolCall("write_file", {"path": "green-tea.txt", "text": TEXT})
    second = ToolCall("write_file", {"path": "black-tea.txt", "text": TEXT})
    models.script.on(Reply(tool_calls=(first,)), results=0, text="write it down")
    models.script.on(Reply(tool_calls=(first, second)), results=0, text="write both down")
    models.script.on(Reply("You are welcome."), text="thanks")
    models.script.on(lambda asked: Reply(f"Result: {asked.tool_results[-1].text}"))


def test_what_is_approved_on_the_card_runs(
    chat: ChatPage, written: Callable[[], set[str]], asked: Asked
) -> None:
    chat.say("Please write it down")
    expect(chat.card).to_be_visible(timeout=30_000)
    expect(chat.page.locator("#chat-container")).to_contain_text(TEXT)
    assert written() == set()
    chat.picture("card")

    chat.button_with("Approve").click()
    chat.wait_for("Result: Wrote green-tea.txt")
    expect(chat.card).to_have_count(0)
    assert written() == {"green-tea.txt"}
    chat.ask("thanks", "You are welcome.")
    assert len(asked()) == 3


def test_of_two_calls_on_one_card_each_is_decided_apart(
    chat: ChatPage, written: Callable[[], set[str]], asked: Asked
) -> None:
    chat.say("Please write both down")
    expect(chat.card).to_be_visible(timeout=30_000)

    chat.button_with("Approve").click()
    expect(chat.page.get_by_text("path: black-tea.txt · text:")).to_be_visible()
    chat.button_with("Reject").click()
    chat.wait_for("Result:")
    assert written() == {"green-tea.txt"}
    assert len(asked()) == 2


def test_what_is_rejected_on_the_card_does_not_run(
    chat: ChatPage, written: Callable[[], set[str]]
) -> None:
    chat.say("Please write it down")
    expect(chat.card).to_be_visible(timeout=30_000)

    chat.button_with("Reject").click()
    chat.wait_for("Result:")
    assert written() == set()
    chat.ask("thanks", "You are welcome.")
    assert written() == set()


def test_a_card_that_is_closed_rejects(chat: ChatPage, written: Callable[[], set[str]]) -> None:
    chat.say("Please write it down")
    expect(chat.card).to_be_visible(timeout=30_000)

    chat.page.get_by_role("button", name="Cancel", exact=True).last.click()
    chat.wait_for("Result:")
    assert written() == set()


def test_the_card_is_there_after_a_reload(chat: ChatPage, written: Callable[[], set[str]]) -> None:
    chat.say("Please write it down")
    expect(chat.card).to_be_visible(timeout=30_000)

    chat.page.reload()
    expect(chat.card).to_be_visible(timeout=30_000)
    assert written() == set()
    chat.button_with("Approve").click()
    chat.wait_for("Result:")
    assert written() == {"green-tea.txt"}
