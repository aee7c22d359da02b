"""The site is built without a warning, and loads nothing from elsewhere."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from potluck.settings import PROJECT_DIR
from tests.chromium import missing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

HOME = "http://site.test/"
# What a page loads by itself, as against where a link leads
LOADING = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("object", "data"),
}
NO_LOAD = {"canonical", "next", "prev", "alternate"}


class Loads(HTMLParser):
    """Everything that a page loads, where its links lead, and the anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") in NO_LOAD:
            return
        self.loads += [value for name, value in given.items() if (tag, name) in LOADING]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly in a copy: the builder leaves a cache beside it."""
    if find_spec("zensical") is None:
        missing("zensical", "`uv sync --group site`")
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PROJECT_DIR / "docs", folder / "docs")
    shutil.copy(PROJECT_DIR / "mkdocs.yml", folder)
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )


def pages_of(site: Path) -> dict[str, Loads]:
    found = {}
    for page in site.rglob("*.html"):
        read = Loads()
        read.feed(page.read_text("utf-8"))
        found[page.relative_to(site).as_posix()] = read
    return found


def file_at(site: Path, url: str) -> Path:
    path = site / urlsplit(url).path.lstrip("/")
    return path / "index.html" if path.is_dir() else path


def test_every_page_is_there(site: Path) -> None:
    sources = [
        page.relative_to(PROJECT_DIR / "docs") for page in (PROJECT_DIR / "docs").rglob("*.md")
    ]
    for source in sources:
        name = source.parent if source.stem == "index" else source.with_suffix("")
        assert (site / name / "index.html").is_file(), source


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for name, page in pages_of(site).items():
        assert page.loads, name
        away = [url for url in page.loads if urlsplit(url).netloc]
        assert away == [], name
    for sheet in site.rglob("*.css"):
        text = sheet.read_text("utf-8")
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", text) == [], sheet.name


def test_what_pages_load_and_link_to_is_there(site: Path) -> None:
    pages = pages_of(site)
    for name, page in pages.items():
        here = urljoin(HOME, name)
        for url in [*page.loads, *page.links]:
            whole = urljoin(here, url)
            if urlsplit(whole).netloc != urlsplit(HOME).netloc or name == "404.html":
                continue
            target = file_at(site, whole)
            assert target.is_file(), f"{name}: {url}"
            anchor = urlsplit(whole).fragment
            if anchor and target.suffix == ".html":
                there = pages[target.relative_to(site).as_posix()]
                assert anchor in there.anchors | {"__top"}, f"{name}: {url}"


def test_no_page_shows_markdown_that_was_not_understood(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = re.sub(r"<(code|pre|script)\b.*?</\1>", "", page.read_text("utf-8"), flags=re.DOTALL)
        assert "| --- |" not in text, page
        assert "```" not in text, page


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    if find_spec("zensical") is None:
        missing("zensical", "`uv sync --group site`")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[there](nowhere.md)\n", "utf-8")
    config = (PROJECT_DIR / "mkdocs.yml").read_text("utf-8").partition("nav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config, "utf-8")
    assert build(tmp_path).returncode != 0
