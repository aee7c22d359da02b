"""Servers whose only model can be made to run out of quota."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient
from ruamel.yaml import YAML

from potluck.simulator.server import SimulatorServer

WAIT_LIMIT_S = 4


@pytest.fixture
def connect() -> Iterator[Callable[[str], SyncLangGraphClient]]:
    """Clients of the LangGraph API that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(get_sync_client(url=url))


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
    from tests.conftest import PotluckServer, make_home, remove  # noqa: PLC0415

    with SimulatorServer() as simulator:
        server = PotluckServer(make_home(), simulator, env={"POTLUCK_CONFIG_DIR": one_model})
        yield server.start()
        remove(server)


@pytest.fixture
def quota_server(shared_quota_server: Any) -> Any:
    """A server with one model, whose quota has not run out."""
    shared_quota_server.simulator.script.clear()
    shared_quota_server.simulator.log.clear()
    return shared_quota_server
