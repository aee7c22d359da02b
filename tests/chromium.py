"""The browser that tests drive: Chromium as the system has it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str, fix: str) -> None:
    """Skip, or fail where everything must be there."""
    if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing: {fix}")
    pytest.skip(f"{what} is missing: {fix}")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running Chromium: POTLUCK_TEST_CHROMIUM, or from the PATH.

    While it runs, its thread has an event loop: asynchronous tests cannot run beside it.
    """
    named = os.environ.get("POTLUCK_TEST_CHROMIUM")
    program = named or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        missing("Chromium", "`apt install chromium`, or name one in POTLUCK_TEST_CHROMIUM")
    # Chromium's own sandbox does not start as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=arguments)
        yield running
        running.close()
