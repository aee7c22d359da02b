"""The dashboard of a real server: what happens there is seen, and its buttons do what they say."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from playwright.sync_api import Page, expect
from ruamel.yaml import YAML

from potluck.server.dashboard.page import read_page
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEY = "secret-of-ann"
HEADERS = {"Authorization": f"Bearer {KEY}"}
QUESTION: Any = {"messages": [{"role": "user", "content": "What is the answer?"}]}
OUT_S = 600
LIVE_MS = 15_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PotluckServer]:
    """A server with a key, and with one model, which the simulator plays."""
    folder = tmp_path_factory.mktemp("config")
    yaml = YAML()
    box = {"base_url": "http://127.0.0.1:1/v1", "model": "box", "limits": {"requests_per_day": 50}}
    yaml.dump({"providers": {"box": box}}, folder / "providers.yaml")
    yaml.dump({"optimization": {"enable_caching": False}}, folder / "limits.yaml")
    env = {"POTLUCK_CONFIG_DIR": str(folder), "POTLUCK_API_KEYS": f"ann:{KEY}:admin"}
    with SimulatorServer() as simulator:
        running = PotluckServer(make_home(), simulator, env=env)
        yield running.start()
        remove(running)


def logged_in(page: Page) -> Page:
    page.get_by_label("Key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#board")).to_be_visible()
    return page


def answers(server: PotluckServer, *replies: Reply) -> None:
    assert server.simulator is not None
    server.simulator.script.clear()
    for reply in replies[:-1]:
        server.simulator.script.on(reply, times=1)
    server.simulator.script.on(replies[-1])


def out_of_quota() -> Reply:
    error = {"message": f"Too many concurrent requests. Please try again in {OUT_S}s."}
    fault = Fault(status=429, body={"error": error}, headers={"retry-after": str(OUT_S)})
    return Reply(fault=fault)


def park(server: PotluckServer) -> str:
    """A thread whose run is parked."""
    with get_sync_client(url=server.url, headers=HEADERS) as client:
        thread_id = str(client.threads.create()["thread_id"])
        client.runs.wait(thread_id, "agent", input=QUESTION)
    return thread_id


def last_text(server: PotluckServer, thread_id: str) -> str:
    with get_sync_client(url=server.url, headers=HEADERS) as client:
        state: Any = client.threads.get_state(thread_id)
    return str(state["values"]["messages"][-1]["content"])


def test_the_page_is_served_without_a_key_and_tells_nothing(server: PotluckServer) -> None:
    page = httpx.get(f"{server.url}/dashboard")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'sha256-" in page.headers["content-security-policy"]
    assert page.text == read_page().text
    assert httpx.get(f"{server.url}/quota/hours").status_code == 401


def test_a_call_is_seen_while_one_looks(
    server: PotluckServer, open_page: Callable[..., Page], pictures: Path
) -> None:
    answers(server, Reply(text="Forty-two."))
    page = logged_in(open_page(server.url))
    expect(page.locator("#chart")).to_contain_text("No calls in the last 24 hours.")
    body = {"model": "auto", **QUESTION}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=HEADERS, timeout=30)
    assert answer.status_code == 200, answer.text
    expect(page.locator("#answers")).to_contain_text("box/box", timeout=LIVE_MS)
    expect(page.locator(".legend")).to_have_text("1 answered")
    expect(page.locator(".provider")).to_contain_text("49 of 50 requests a day left")
    hours = httpx.get(f"{server.url}/quota/hours?hours=2", headers=HEADERS).json()
    assert [hour["totals"]["answered"] for hour in hours["hours"]] == [0, 1]


def test_a_parked_run_goes_on_when_it_is_told_to(
    server: PotluckServer, open_page: Callable[..., Page]
) -> None:
    answers(server, out_of_quota(), Reply(text="Forty-two, at last."))
    thread_id = park(server)
    page = logged_in(open_page(server.url))
    expect(page.locator("#parked")).to_contain_text(thread_id)
    expect(page.locator("#verdict")).to_contain_text("No provider can be asked now.")
    expect(page.locator("#faults")).to_contain_text("box/box")
    page.get_by_role("button", name="Try thread").click()
    expect(page.locator("#parked-section")).to_be_hidden(timeout=LIVE_MS)
    expect(page.locator("#verdict")).to_have_text("box can be asked now.", timeout=LIVE_MS)
    assert last_text(server, thread_id) == "Forty-two, at last."


def test_a_parked_run_is_given_up(server: PotluckServer, open_page: Callable[..., Page]) -> None:
    answers(server, out_of_quota())
    thread_id = park(server)
    page = logged_in(open_page(server.url))
    page.get_by_role("button", name=f"Give thread {thread_id} up").click()
    page.get_by_role("button", name="Give it up").click()
    expect(page.locator("#parked-section")).to_be_hidden(timeout=LIVE_MS)
    assert httpx.get(f"{server.url}/quota/parked", headers=HEADERS).json() == {"parked": []}
