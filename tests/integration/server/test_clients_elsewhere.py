"""The clients that people use, each with a program of its own: those that must be installed."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import PeerMissingError, default_folder, python_with
from tests.clients.expected import FOLDER, check, findings, prepare

pytestmark = [pytest.mark.integration, pytest.mark.peers, pytest.mark.timeout(400)]

LITELLM = "litellm[proxy]==1.106.2"
INSTALL_TIMEOUT_S = 180


@pytest.fixture
def url(troubled_server: Any) -> str:
    prepare(troubled_server.simulator.script)
    return f"{troubled_server.url}/v1"


def missing(what: str) -> None:
    if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """A folder in the cache with the libraries of `package-lock.json`, and the programs."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("node and npm are not installed")
    programs = FOLDER / "node"
    lock = (programs / "package-lock.json").read_bytes()
    folder = default_folder().with_name("clients") / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for file in programs.glob("*.*"):
        if file.is_file():
            shutil.copy(file, folder)
    if not (folder / "installed").exists():
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            missing(f"npm ci failed: {done.stderr[-500:]}")
        (folder / "installed").touch()
    return folder


@pytest.mark.parametrize(
    "program",
    [["openai_js.mjs"], *(["ai_sdk.mjs", way] for way in ("compatible", "chat", "responses"))],
    ids=" ".join,
)
def test_javascript(url: str, troubled_server: Any, node_folder: Path, program: list[str]) -> None:
    check(findings(["node", *program], url, cwd=node_folder), troubled_server.simulator.log)


@pytest.mark.parametrize("way", ["sync", "async"])
def test_litellm(url: str, troubled_server: Any, way: str) -> None:
    try:
        python = python_with("litellm-proxy", [LITELLM], default_folder())
    except PeerMissingError as error:
        missing(f"{LITELLM} cannot be had: {error}")
    check(findings([python, "litellm_sdk.py", way], url), troubled_server.simulator.log)
