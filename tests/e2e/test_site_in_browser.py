"""The site in Chromium: light, dark and narrow, with nothing fetched from elsewhere."""

import functools
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.chromium import chromium, missing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PROJECT_DIR = Path(__file__).parents[2]
SHOWN = (
    *("", "start/quick-start/", "ja/quick-start/", "operations/", "threat-model/"),
    *("reference/providers/", "extend/tool/"),
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if find_spec("zensical") is None:
        missing("zensical", "`uv sync --group site`")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PROJECT_DIR / "docs", folder / "docs")
    shutil.copy(PROJECT_DIR / "mkdocs.yml", folder)
    command = [sys.executable, "-m", "zensical", "build", "--clean"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)
    serving = functools.partial(Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(5)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, site_url: str) -> Iterator[Page]:
    """A page whose test fails when it asks anybody else, or when a script fails."""
    size, scheme = getattr(request, "param", ((1280, 900), "light"))
    asked: list[str] = []
    faults: list[str] = []
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    opened.on("request", lambda one: asked.append(one.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    here = urlsplit(site_url).netloc
    assert [url for url in asked if urlsplit(url).netloc not in {here, ""}] == []
    assert faults == []


LOOKS = [((1280, 900), "light"), ((1280, 900), "dark"), ((390, 844), "light")]


@pytest.mark.parametrize("page", LOOKS, indirect=True)
def test_pages_fit_and_ask_nobody_else(page: Page, site_url: str) -> None:
    for path in SHOWN:
        page.goto(site_url + path, wait_until="networkidle")
        assert page.locator("h1").count() == 1
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], path  # type: ignore[index] # it was given


@pytest.mark.parametrize("word", ["neurons", "POTLUCK_SANDBOX", "bubblewrap"])
def test_the_search_finds_words_of_the_pages(page: Page, site_url: str, word: str) -> None:
    page.goto(site_url, wait_until="networkidle")
    page.keyboard.press("/")
    page.keyboard.type(word, delay=10)
    hit = page.locator(f"a:visible mark:has-text('{word[:6]}')").first
    hit.wait_for()


def test_a_link_of_the_navigation_leads_on(page: Page, site_url: str) -> None:
    page.goto(site_url, wait_until="networkidle")
    page.get_by_role("link", name="Quick start", exact=True).first.click()
    page.wait_for_url("**/start/quick-start/")
    assert page.locator("h1").inner_text().startswith("Quick start")
