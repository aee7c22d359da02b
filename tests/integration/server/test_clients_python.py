"""The clients that people use, each with a program of its own: those that are installed anyway."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.expected import FOLDER, check, findings, prepare

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PYTHON = Path(sys.executable)


@pytest.fixture
def url(troubled_server: Any) -> str:
    prepare(troubled_server.simulator.script)
    return f"{troubled_server.url}/v1"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_openai_python(url: str, troubled_server: Any, way: str) -> None:
    check(findings([PYTHON, "openai_python.py", way], url), troubled_server.simulator.log)


def test_langchain_chat_openai(url: str, troubled_server: Any) -> None:
    check(findings([PYTHON, "langchain_openai_chat.py"], url), troubled_server.simulator.log)


def test_curl(url: str, troubled_server: Any) -> None:
    if shutil.which("curl") is None:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail("curl is not installed")
        pytest.skip("curl is not installed")
    check(findings(["sh", FOLDER / "curl.sh"], url), troubled_server.simulator.log)
