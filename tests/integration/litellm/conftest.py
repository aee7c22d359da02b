"""LiteLLM's real proxy, in an environment of its own, before a real server."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from openai import OpenAI
from ruamel.yaml import YAML

from benchmarks.peers import PeerMissingError, default_folder, python_with
from potluck.simulator.server import SimulatorServer
from tests.conftest import FOREIGN, PROJECT_DIR, PotluckServer, make_home, remove

LITELLM = "litellm[proxy]==1.106.2"
FOLDER = PROJECT_DIR / "integrations" / "litellm"
POTLUCK_KEY = "potluck-key-for-litellm"
MASTER_KEY = "sk-" + "0123456789abcdef" * 4
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0


@pytest.fixture(scope="session")
def litellm_python() -> Path:
    """The interpreter of an environment with LiteLLM, made at its first use."""
    try:
        return python_with("litellm-proxy", [LITELLM], default_folder())
    except PeerMissingError as error:
        if os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail(f"{LITELLM} cannot be had: {error}")
        pytest.skip(f"{LITELLM} cannot be had: {error}")


@pytest.fixture(scope="session")
def litellm_config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two models without limits, of which one may run out without the other."""
    folder = tmp_path_factory.mktemp("config")
    places = {name: {"base_url": "http://127.0.0.1:1/v1", "model": name} for name in ("box", "jar")}
    YAML().dump({"providers": places}, folder / "providers.yaml")
    policy = {
        "parking": {"wait_limit_seconds": 1},
        "waiting": {"interactive_seconds": 0, "background_seconds": 0},
        "optimization": {"enable_caching": False},
    }
    YAML().dump(policy, folder / "limits.yaml")
    return str(folder)


@pytest.fixture(scope="session")
def litellm_server(litellm_config: str, simulator: SimulatorServer) -> Iterator[PotluckServer]:
    env = {"POTLUCK_CONFIG_DIR": litellm_config, "POTLUCK_API_KEYS": f"litellm:{POTLUCK_KEY}"}
    server = PotluckServer(make_home(), simulator, env=env)
    yield server.start()
    remove(server)


@dataclass(frozen=True)
class Proxy:
    """LiteLLM's proxy, and Potluck behind it."""

    url: str
    python: Path
    potluck: PotluckServer
    threads: SyncLangGraphClient

    @property
    def script(self) -> Any:
        """The simulated provider's script."""
        assert self.potluck.simulator is not None
        return self.potluck.simulator.script

    @property
    def log(self) -> Any:
        """What the simulated provider was asked."""
        assert self.potluck.simulator is not None
        return self.potluck.simulator.log

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not any(mark in k for mark in FOREIGN)}
        return kept | {
            "POTLUCK_URL": self.potluck.url,
            "POTLUCK_OPENAI_URL": f"{self.potluck.url}/v1",
            "POTLUCK_API_KEY": POTLUCK_KEY,
            "LITELLM_MASTER_KEY": MASTER_KEY,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }


@pytest.fixture(scope="session")
def running_proxy(
    litellm_python: Path, litellm_server: PotluckServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    port = _free_port()
    log = tmp_path_factory.mktemp("litellm") / "proxy.log"
    with get_sync_client(url=litellm_server.url, api_key=POTLUCK_KEY) as threads:
        proxy = Proxy(f"http://127.0.0.1:{port}", litellm_python, litellm_server, threads)
        command = [litellm_python.parent / "litellm", "--config", FOLDER / "config.yaml"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                cwd=log.parent,
                env=proxy.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(proxy.url, process, log)
            yield proxy
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)


@pytest.fixture
def proxy(running_proxy: Proxy) -> Proxy:
    """The proxy, with nothing in the simulated provider's script and log."""
    running_proxy.script.clear()
    running_proxy.log.clear()
    return running_proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[OpenAI]:
    """A client of the proxy that tries once."""
    url = f"{proxy.url}/v1"
    with OpenAI(base_url=url, api_key=MASTER_KEY, max_retries=0, timeout=60) as made:
        yield made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"not ready in time:\n{log.read_text()}"
        try:
            if httpx.get(f"{url}/health/liveliness", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.25)
