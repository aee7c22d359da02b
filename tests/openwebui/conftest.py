"""Open WebUI, Potluck behind it, simulated models behind that, and a browser before them all."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, StorageState, ViewportSize
from ruamel.yaml import YAML

from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.chromium import chromium, missing
from tests.conftest import PotluckServer, make_home, remove
from tests.openwebui.chat_page import ANSWER_TIMEOUT_MS, ChatPage
from tests.openwebui.installation import cache_folder, install
from tests.openwebui.open_webui import OpenWebUI

KEY = "secret-of-open-webui"
WAIT_LIMIT_S = 4
# As wide as a small laptop, with the sidebar folded.
VIEW: ViewportSize = {"width": 1280, "height": 800}
TITLE = "Tea and arithmetic"
TASKS = {
    "title": {"title": TITLE},
    "follow_ups": {"follow_ups": ["And what of coffee?", "Why is that so?"]},
    "tags": {"tags": ["General"]},
}
PAGE = b"<!doctype html><title>On tea</title><article><p>Tea is steeped for minutes.</p></article>"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@dataclass(frozen=True)
class Site:
    """A web site with one page about tea, and a search that finds it."""

    url: str
    port: int


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_search = self.path.startswith("/search")
            found = {"url": f"{url}/tea", "title": "On tea", "content": "How long tea is steeped."}
            body = json.dumps({"results": [found]}).encode() if is_search else PAGE
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if is_search else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # http.server's
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        port = server.server_port
        url = f"http://127.0.0.1:{port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(url, port)
        server.shutdown()


@pytest.fixture(scope="session")
def configuration(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Path:
    """One model that sees pictures and has no limits; writing files asks first."""
    folder = tmp_path_factory.mktemp("openwebui") / "config"
    folder.mkdir()
    box = {
        "base_url": "http://127.0.0.1:1/v1",
        "models": [{"id": "seer", "capabilities": ["tools", "json", "vision"]}],
    }
    policy = {
        "parking": {"wait_limit_seconds": WAIT_LIMIT_S},
        "waiting": {"interactive_seconds": 0, "background_seconds": 0},
        "optimization": {"enable_caching": False},
    }
    tools = {
        "tools": {"write_file": "ask"},
        "web": {
            "searxng_url": site.url,
            "allow_networks": ["127.0.0.0/8"],
            "allow_ports": [site.port],
        },
    }
    yaml = YAML()
    yaml.dump({"providers": {"box": box}}, folder / "providers.yaml")
    yaml.dump(policy, folder / "limits.yaml")
    yaml.dump(tools, folder / "tools.yaml")
    return folder


@pytest.fixture(scope="session")
def shared_potluck(configuration: Path) -> Iterator[PotluckServer]:
    env = {"POTLUCK_CONFIG_DIR": str(configuration), "POTLUCK_API_KEYS": f"openwebui:{KEY}"}
    with SimulatorServer() as simulator:
        server = PotluckServer(make_home(), simulator, env=env)
        yield server.start()
        remove(server)


@pytest.fixture(scope="session")
def open_webui(
    shared_potluck: PotluckServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenWebUI]:
    """The real thing, installed when it is wanted for the first time."""
    if shutil.which("uv") is None:
        missing("uv", "https://docs.astral.sh/uv")
    program = install(cache_folder())
    data = tmp_path_factory.mktemp("open-webui-data")
    running = OpenWebUI(program, data, shared_potluck.url, KEY)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def visitor(browser: Browser, open_webui: OpenWebUI) -> StorageState:
    """Somebody who is logged in, and has read what a new version says before the first chat."""
    with browser.new_context(viewport=VIEW) as context:
        page = context.new_page()
        page.goto(open_webui.url)
        news = page.get_by_role("button", name="Okay, Let's Go!")
        news.click(timeout=ANSWER_TIMEOUT_MS)
        news.wait_for(state="hidden")
        return context.storage_state()


@pytest.fixture
def potluck(shared_potluck: PotluckServer) -> PotluckServer:
    """Its models do Open WebUI's background tasks; tests add rules for what they ask."""
    simulator = shared_potluck.simulator
    assert simulator is not None
    simulator.script.clear()
    simulator.log.clear()
    for name, answer in TASKS.items():
        simulator.script.on(Reply(json.dumps(answer)), text=rf'### Task:[\s\S]*"{name}"')
    return shared_potluck


@pytest.fixture
def models(potluck: PotluckServer) -> SimulatorServer:
    """What plays the models."""
    assert potluck.simulator is not None
    return potluck.simulator


@pytest.fixture
def asked(models: SimulatorServer) -> Callable[[], list[ModelRequest]]:
    """What models were asked in this test, without Open WebUI's background tasks."""
    return lambda: [r for r in models.log.requests() if "### Task:" not in r.last_user_text]


@pytest.fixture
def context(browser: Browser, visitor: StorageState) -> Iterator[BrowserContext]:
    with browser.new_context(viewport=VIEW, storage_state=visitor) as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: POTLUCK_TEST_PICTURES, or the test's own folder."""
    folder = Path(os.environ.get("POTLUCK_TEST_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def chat(
    context: BrowserContext,
    open_webui: OpenWebUI,
    potluck: PotluckServer,
    pictures: Path,
    request: pytest.FixtureRequest,
) -> Iterator[ChatPage]:
    """A new chat with the agent; what it shows at the end is kept as a picture."""
    opened = ChatPage(context.new_page(), open_webui.url, pictures)
    yield opened.open()
    opened.picture(request.node.name)
