"""The dashboard of a real server: what happens there is seen, and its buttons do what they say."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk import get_sync_client
from playwright.sync_api import Page, expect
from ruamel.yaml import YAML

from potluck.database import database_url
from potluck.server.dashboard.page import read_page
from potluck.settings import Settings
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, make_home, remove

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEY = "secret-of-ann"
BOBS_KEY = "secret-of-bob"
KEYS = f"ann:{KEY}:admin,bob:{BOBS_KEY}"
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
    env = {"POTLUCK_CONFIG_DIR": str(folder), "POTLUCK_API_KEYS": KEYS}
    with SimulatorServer() as simulator:
        running = PotluckServer(make_home(), simulator, env=env)
        yield running.start()
        remove(running)


def logged_in(page: Page, key: str = KEY) -> Page:
    page.get_by_label("Key", exact=True).fill(key)
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


# What each tile and each entry of the legend is, in the database.
COUNTED = """
    SELECT count(*) FILTER (WHERE outcome IN ('answered', 'failed', 'cancelled')),
           count(*) FILTER (WHERE outcome = 'cached'),
           coalesce(sum(input_tokens + output_tokens)
               FILTER (WHERE outcome IN ('answered', 'failed', 'cancelled')), 0),
           count(*) FILTER (WHERE outcome = 'answered'),
           count(*) FILTER (WHERE outcome = 'failed')
    FROM potluck.calls WHERE (%(user)s::text IS NULL OR tenant = %(user)s)
"""


def counted(server: PotluckServer, user: str | None) -> list[int]:
    """Calls sent, from the cache, tokens, answered, failed: as the database has them."""
    with (
        database_url(Settings(potluck_home=server.home, database_url=None)) as url,
        psycopg.connect(url) as connection,
    ):
        row = connection.execute(COUNTED, {"user": user}).fetchone()
    assert row is not None
    return [int(figure) for figure in row]


def shown(page: Page) -> list[int]:
    """The same, as the page shows it."""

    def number(text: str) -> int:
        return int(re.sub(r"\D", "", text))

    figures = [
        number(page.locator("#tiles dl", has_text=name).locator(".figure").inner_text())
        for name in ("Calls sent", "From the cache", "Tokens")
    ]
    legend = page.locator(".legend").inner_text()
    outcomes = [re.search(rf"(\d+)\s+{name}", legend) for name in ("answered", "failed")]
    return figures + [int(found[1]) if found else 0 for found in outcomes]


def test_its_figures_are_those_of_the_database_for_an_admin_and_for_a_user(
    server: PotluckServer, open_page: Callable[..., Page]
) -> None:
    broken = Reply(fault=Fault(status=500, body={"error": {"message": "Broken."}}))
    for key, replies in ((KEY, [Reply(text="One.")]), (BOBS_KEY, [broken, Reply(text="Two.")])):
        answers(server, *replies)
        body = {"model": "auto", "messages": [{"role": "user", "content": f"A question of {key}"}]}
        httpx.post(
            f"{server.url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
    for key, user in ((KEY, None), (BOBS_KEY, "bob")):
        page = logged_in(open_page(server.url), key)
        expect(page.locator(".legend")).to_contain_text("failed")
        assert shown(page) == counted(server, user)
        quota = httpx.get(f"{server.url}/quota", headers={"X-Api-Key": key}).json()
        today = quota["today"]
        tokens = today["input_tokens"] + today["output_tokens"]
        assert shown(page)[:3] == [today["sent"], today["cached"], tokens]
        window = quota["providers"][0]["models"][0]["windows"][0]
        left = f"{window['left']:.0f} of {window['limit']:.0f} requests a day left"
        expect(page.locator(".provider")).to_contain_text(left)
    assert counted(server, None)[0] > counted(server, "bob")[0] > 0


def test_the_key_stands_in_no_address_and_no_log(
    server: PotluckServer, open_page: Callable[..., Page]
) -> None:
    page = open_page(server.url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    logged_in(page, BOBS_KEY)
    expect(page.locator("#freshness")).to_contain_text("Live")
    assert len(asked) >= 2
    assert not [url for url in [*asked, page.url] if BOBS_KEY in url]
    assert BOBS_KEY not in server.output


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
