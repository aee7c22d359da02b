"""Tools of real MCP servers, over stdio and HTTP."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
from pydantic import SecretStr

from potluck.errors import ConfigError
from potluck.settings import know_secret
from tools.mcp import McpServers
from tools.mcp_file import ServerForm, read_mcp_file
from tools.mcp_server import Command

pytestmark = pytest.mark.integration

SERVER = str(Path(__file__).parent / "mcp_notes_server.py")


def unconfined(_: str, form: ServerForm) -> Command:
    return Command([form.command or "", *form.args], {"PATH": os.environ["PATH"], **form.env})


@asynccontextmanager
async def opened(**forms: ServerForm) -> AsyncIterator[McpServers]:
    servers = await McpServers.open(forms, unconfined)
    try:
        yield servers
    finally:
        await servers.aclose()


async def call(servers: McpServers, called: str, **args: object) -> str:
    tool = next(spec.tool for spec in servers.specs if spec.tool.name == called)
    message = await tool.ainvoke({"name": called, "args": args, "id": "1", "type": "tool_call"})
    return str(message.text)


def local(**more: object) -> ServerForm:
    return ServerForm.model_validate({"command": sys.executable, "args": [SERVER], **more})


async def test_a_local_servers_tools_are_called_in_one_session() -> None:
    async with opened(notes=local()) as servers:
        assert "mcp_notes_add_note" in [spec.tool.name for spec in servers.specs]
        assert {spec.policy for spec in servers.specs} == {"ask"}
        assert await call(servers, "mcp_notes_add_note", text="a") == "1 notes"
        assert await call(servers, "mcp_notes_add_note", text="b") == "2 notes"


async def test_what_a_tool_says_of_its_failure_reaches_the_model() -> None:
    async with opened(notes=local()) as servers:
        assert "no ink" in await call(servers, "mcp_notes_fail")


async def test_a_server_that_dies_is_started_again_by_the_next_call() -> None:
    async with opened(notes=local()) as servers:
        await call(servers, "mcp_notes_add_note", text="a")
        with pytest.raises(Exception, match="died"):
            await call(servers, "mcp_notes_die")
        assert await call(servers, "mcp_notes_add_note", text="b") == "1 notes"


async def test_only_the_tools_that_the_user_wants_are_offered() -> None:
    async with opened(notes=local(tools=["add_note"])) as servers:
        assert [spec.tool.name for spec in servers.specs] == ["mcp_notes_add_note"]


async def test_a_server_gets_no_more_of_the_environment_than_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "secret")
    async with opened(notes=local(env={"COLOUR": "red"})) as servers:
        assert await call(servers, "mcp_notes_environment", name="COLOUR") == "red"
        assert await call(servers, "mcp_notes_environment", name="GROQ_API_KEY") == "[not set]"


async def test_a_server_that_does_not_start_leaves_the_others_be() -> None:
    broken = ServerForm(command=sys.executable, args=("-c", "import sys; sys.exit('broken')"))
    missing = ServerForm(command="/no/such/program")
    async with opened(broken=broken, missing=missing, notes=local()) as servers:
        assert set(servers.failures) == {"broken", "missing"}
        assert await call(servers, "mcp_notes_add_note", text="a") == "1 notes"


@pytest.fixture
def remote() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, SERVER, str(port)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()


async def test_a_server_at_an_address_is_used_too(remote: str) -> None:
    async with opened(far=ServerForm(url=remote)) as servers:
        assert await call(servers, "mcp_far_add_note", text="a") == "1 notes"


async def test_no_process_is_left_behind() -> None:
    async with opened(notes=local()):
        assert await children()
    assert not await children()


async def children() -> list[int]:
    await asyncio.sleep(0.1)
    return [
        child.pid for child in psutil.Process().children() if SERVER in " ".join(child.cmdline())
    ]


def write(tmp_path: Path, value: object) -> Path:
    text = value if isinstance(value, str) else json.dumps(value)
    (tmp_path / "mcp.json").write_text(text)
    return tmp_path


def no_key(_: str) -> None:
    return None


def test_variables_come_from_the_settings(tmp_path: Path) -> None:
    server = {"url": "https://x.test/mcp", "headers": {"Authorization": "Bearer ${X_TOKEN}"}}
    folder = write(tmp_path, {"mcpServers": {"x": server, "y": {"command": "y", "disabled": True}}})
    forms = read_mcp_file(folder, lambda name: SecretStr(f"value of {name}"))
    assert list(forms) == ["x"]
    assert forms["x"].headers == {"Authorization": "Bearer value of X_TOKEN"}
    with pytest.raises(ConfigError, match="X_TOKEN"):
        read_mcp_file(folder, no_key)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{\n  nope", "mcp.json:2"),
        ({"mcpServer": {}}, "mcpServer"),
        ({"mcpServers": {"x": {}}}, "either `command` or `url`"),
        ({"mcpServers": {"x": {"url": "ftp://x"}}}, "https://"),
        ({"mcpServers": {"a b": {"command": "x"}}}, "name 'a b'"),
        ({"mcpServers": {"x": {"command": "x", "sandbx": False}}}, "sandbx"),
        ([], "the file"),
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path: Path, value: object, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_mcp_file(write(tmp_path, value), no_key)
    assert says in str(caught.value)


class _Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is to be printed."""


async def test_why_a_server_is_off_does_not_tell_the_key_in_its_address() -> None:
    know_secret("planted5ecret-in-an-address")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}/mcp?key=planted5ecret-in-an-address"
        async with opened(far=ServerForm(url=url)) as servers:
            running.shutdown()
            assert "401" in servers.failures["far"]
            assert "planted" not in servers.failures["far"]
