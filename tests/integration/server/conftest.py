"""Clients of a server, and servers whose only model can be made to run out of quota."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from openai import AsyncOpenAI
from ruamel.yaml import YAML

from potluck.simulator.server import SimulatorServer
from tests.conftest import PotluckServer, afresh, serving

WAIT_LIMIT_S = 4


@pytest.fixture
def connect() -> Iterator[Callable[[str], SyncLangGraphClient]]:
    """Clients of the LangGraph API that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(get_sync_client(url=url))


@pytest.fixture
def langgraph(
    server: PotluckServer, connect: Callable[[str], SyncLangGraphClient]
) -> SyncLangGraphClient:
    return connect(server.url)


@pytest.fixture
async def openai(server: PotluckServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture(scope="session")
def one_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configuration in which one model without limits is all there is."""
    folder = tmp_path_factory.mktemp("config")
    yaml = YAML()
    # The simulator knows no limits of it, so that none are learned.
    box = {"base_url": "http://127.0.0.1:1/v1", "model": "box"}
    yaml.dump({"providers": {"box": box}}, folder / "providers.yaml")
    policy = {
        "parking": {"wait_limit_seconds": WAIT_LIMIT_S},
        # Runs of every priority are to be parked, not held in the queue.
        "waiting": {"interactive_seconds": 0, "background_seconds": 0},
        # The same question again is to meet the quota, not a kept answer.
        "optimization": {"enable_caching": False},
    }
    yaml.dump(policy, folder / "limits.yaml")
    return str(folder)


@pytest.fixture
def provider() -> Iterator[SimulatorServer]:
    with SimulatorServer() as simulator:
        yield simulator


@pytest.fixture
def start(
    start_server: Callable[..., Any], provider: SimulatorServer, one_model: str
) -> Callable[..., Any]:
    """Start servers of this test's own."""
    return lambda **env: start_server(
        simulator=provider, env={"POTLUCK_CONFIG_DIR": one_model, **env}
    )


@pytest.fixture(scope="module")
def shared_quota_server(one_model: str) -> Iterator[Any]:
    with serving(one_model) as server:
        yield server


@pytest.fixture
def quota_server(shared_quota_server: Any) -> Any:
    """A server with one model, whose quota has not run out."""
    return afresh(shared_quota_server)


@pytest.fixture(scope="module")
def asking_config(one_model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `one_model`; a person is asked before files are written, but for one."""
    config = tmp_path_factory.mktemp("asking") / "config"
    shutil.copytree(one_model, config)
    rules = "tools: {write_file: {policy: ask, allow: [{path: log.txt}]}}\n"
    (config / "tools.yaml").write_text(rules)
    return str(config)


@pytest.fixture(scope="module")
def shared_asking_server(asking_config: str) -> Iterator[PotluckServer]:
    with serving(asking_config) as server:
        yield server


@pytest.fixture
def asking_server(shared_asking_server: PotluckServer) -> PotluckServer:
    """A server with one model and files that are written when a person has said so."""
    return afresh(shared_asking_server)
