"""The pages of a server work in a browser that reaches nothing but this server."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request

from tests.chromium import chromium

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PAGES = ("/docs", "/v1/docs", "/agent/playground/", "/chain/playground/", "/dashboard")
# What each shows once its scripts have run
SHOWN = {
    "/docs": "Create Thread",
    "/v1/docs": "/chat/completions",
    "/agent/playground/": "Playground",
    "/chain/playground/": "Playground",
    "/dashboard": "Potluck",
}
SHOWN_WITHIN_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_a_page_names_no_file_of_another_site(offline_server: Any, path: str) -> None:
    answer = httpx.get(offline_server.url + path)
    assert answer.status_code == 200
    for file in re.findall(r'(?:src|href)\s*=\s*"([^"]+)"', answer.text):
        if not file.startswith("data:"):
            url = urljoin(f"{offline_server.url}{path}", file)
            assert url.startswith(offline_server.url), file
            assert httpx.get(url).status_code == 200, file


@pytest.mark.parametrize("path", PAGES)
def test_no_page_can_be_framed_or_load_from_elsewhere(offline_server: Any, path: str) -> None:
    headers = httpx.get(offline_server.url + path).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_works_under_its_policy(offline_server: Any, browser: Browser, path: str) -> None:
    told: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda line: told.append(line.text) if _is_refusal(line.text) else None)
    page.on("request", lambda request: _note_foreign(request, offline_server.url, told))
    page.goto(offline_server.url + path)
    page.get_by_text(SHOWN[path]).first.wait_for(timeout=SHOWN_WITHIN_MS)
    page.close()
    assert told == []


def test_the_playground_asks_the_agent(offline_server: Any, browser: Browser) -> None:
    page: Page = browser.new_page()
    page.goto(f"{offline_server.url}/agent/playground/")
    page.get_by_role("textbox").last.fill("What is 17 * 23?")
    page.get_by_role("button", name="Start").click()
    page.get_by_text("391").first.wait_for(timeout=SHOWN_WITHIN_MS)
    page.close()


def _is_refusal(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text


def _note_foreign(request: Request, url: str, told: list[str]) -> None:
    if not request.url.startswith((url, "data:", "blob:")):
        told.append(request.url)
