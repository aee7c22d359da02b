"""Out of quota in Open WebUI: told when it goes on, and the answer is there afterwards."""

import time

import pytest
from playwright.sync_api import expect

from potluck.simulator.reply import Fault, Reply
from potluck.simulator.server import SimulatorServer
from tests.openwebui.chat_page import ChatPage
from tests.openwebui.conftest import WAIT_LIMIT_S

pytestmark = [pytest.mark.openwebui, pytest.mark.timeout(600)]


def out_of_quota(for_s: float) -> Reply:
    error = {"message": f"Too many concurrent requests. Please try again in {for_s:g}s."}
    headers = {"retry-after": f"{for_s:g}"}
    return Reply(fault=Fault(status=429, body={"error": error}, headers=headers))


def test_a_short_wait_is_sat_out_in_the_same_answer(
    chat: ChatPage, models: SimulatorServer
) -> None:
    models.script.on(out_of_quota(WAIT_LIMIT_S - 2), times=1, text="everything")
    models.script.on(Reply("It is 42."), text="everything")

    chat.ask("The answer to everything?", "It is 42.")
    assert "Waiting until" in chat.thoughts()


def test_a_long_wait_is_told_and_the_answer_is_there_with_the_next_message(
    chat: ChatPage, models: SimulatorServer
) -> None:
    models.script.on(out_of_quota(WAIT_LIMIT_S * 3), times=1, text="everything")
    models.script.on(Reply("It is 42."), text="everything")
    models.script.on(Reply("You are welcome."), text="thanks")

    chat.ask("The answer to everything?", "The work goes on by itself")
    back_at = time.monotonic() + WAIT_LIMIT_S * 3
    expect(chat.answer).to_contain_text("send any message then to read it")
    chat.picture("out_of_quota")
    time.sleep(max(0.0, back_at + 2 - time.monotonic()))

    chat.ask("thanks", "You are welcome.")
    expect(chat.answer).to_contain_text("It is 42.")
