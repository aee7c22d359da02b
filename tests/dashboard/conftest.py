"""The dashboard on a stage, and a browser before it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.chromium import chromium
from tests.dashboard.stage import Stage, standing

WIDE = (1280, 800)
PHONE = (390, 844)


# For one file each: while the browser's event loop runs, asynchronous tests cannot.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def shared_stage() -> Iterator[Stage]:
    with standing() as stage:
        yield stage


@pytest.fixture
def stage(shared_stage: Stage) -> Stage:
    shared_stage.reset()
    return shared_stage


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open the dashboard; the test fails on any error or refusal that the browser tells of."""
    told: list[str] = []
    contexts = []

    def open_at(url: str, size: tuple[int, int] = WIDE, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type] # light or dark
            reduced_motion="reduce",
            timezone_id="Europe/Berlin",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        # Time passes as ever, and can be made to jump.
        page.clock.install()
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("console", lambda line: told.append(line.text) if _is_bad(line.text) else None)
        page.goto(f"{url}/dashboard")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert told == []


def _is_bad(text: str) -> bool:
    return "Content Security Policy" in text or "Trusted" in text or "Uncaught" in text


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: POTLUCK_TEST_PICTURES, or the test's own folder."""
    folder = Path(os.environ.get("POTLUCK_TEST_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
