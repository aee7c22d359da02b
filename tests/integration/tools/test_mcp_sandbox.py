"""Local MCP servers run in the sandbox: what they can reach, and what they cannot."""

import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from potluck.settings import Settings
from tools.mcp import McpServers
from tools.mcp_file import ServerForm
from tools.mcp_launch import launch_in

pytestmark = pytest.mark.integration

SERVER = Path(__file__).parent / "mcp_notes_server.py"


@pytest.fixture(autouse=True)
def bubblewrap() -> None:
    if shutil.which("bwrap") is None:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail("bubblewrap is needed, and not installed")
        pytest.skip("bubblewrap is not installed")


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(mkdtemp(prefix="potluck-test-"))
    made.chmod(0o755)
    (made / "secret.txt").write_text("secret")
    yield made
    shutil.rmtree(made)


Call = Callable[..., object]


@asynccontextmanager
async def started(home: Path, **more: object) -> AsyncIterator[Call]:
    """The notes server in the sandbox, and the way to call its tools."""
    form = ServerForm.model_validate(
        {"command": sys.executable, "args": [str(SERVER)], "read": [str(SERVER)], **more}
    )
    servers = await McpServers.open({"notes": form}, launch_in(Settings(potluck_home=home)))

    async def call(called: str, **args: object) -> str:
        assert not servers.failures, servers.failures
        found = {spec.tool.name: spec.tool for spec in servers.specs}
        answer = await found[f"mcp_notes_{called}"].ainvoke(
            {"name": called, "args": args, "id": "1", "type": "tool_call"}
        )
        return str(answer.text)

    try:
        yield call
    finally:
        await servers.aclose()


async def test_it_works_and_keeps_files_in_a_folder_of_its_own(home: Path) -> None:
    async with started(home) as call:
        assert await call("add_note", text="a") == "1 notes"
        assert await call("write", path="/workspace/kept.txt") == "done"
    assert (home / "mcp" / "notes" / "kept.txt").read_text() == "written"


async def test_it_reads_and_changes_nothing_else(home: Path) -> None:
    async with started(home) as call:
        assert await call("read", path=str(home / "secret.txt")) == "[No such file or directory]"
        assert await call("write", path=str(home / "new.txt")) != "done"
        assert await call("write", path=str(SERVER)) != "done"
    assert not (home / "new.txt").exists()


async def test_it_reads_what_the_user_shares(home: Path) -> None:
    async with started(home, read=[str(SERVER), str(home / "secret.txt")]) as call:
        assert await call("read", path=str(home / "secret.txt")) == "secret"


async def test_it_gets_only_the_variables_that_it_is_given(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "secret")
    async with started(home, env={"COLOUR": "red"}) as call:
        assert await call("environment", name="COLOUR") == "red"
        assert await call("environment", name="GROQ_API_KEY") == "[not set]"
        assert await call("environment", name="POTLUCK_HOME") == "[not set]"


async def test_its_secrets_stand_in_no_command_line(home: Path) -> None:
    async with started(home, env={"TOKEN": "very-secret"}) as call:
        assert await call("environment", name="TOKEN") == "very-secret"
        lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert any("bwrap" in line for line in lines)
    assert not any("very-secret" in line for line in lines)


@pytest.mark.parametrize("network", [False, True])
async def test_it_reaches_the_network_only_when_the_user_says_so(home: Path, network: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with started(home, network=network) as call:
            answer = await call("connect", port=listening.getsockname()[1])
    assert (answer == "connected") is network
