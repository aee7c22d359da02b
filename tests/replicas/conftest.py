"""Three servers on one PostgreSQL and one Redis, behind a balancer; the dead are started again."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from benchmarks.replicas_services import missing_programs
from benchmarks.replicas_stage import Cluster, Replica, cluster
from potluck.simulator.server import SimulatorServer

REPLICAS = 3
WAIT_S = 60.0

Connect = Callable[[str], SyncLangGraphClient]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = missing_programs()
    if not missing or os.environ.get("POTLUCK_TEST_REQUIRE_ALL") == "1":
        return
    reason = f"needs {' and '.join(missing)}: apt install {' '.join(missing)}"
    for item in items:
        if item.get_closest_marker("replicas"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def upstream() -> Iterator[SimulatorServer]:
    with SimulatorServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared_cluster(upstream: SimulatorServer, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    options = getattr(request.module, "CLUSTER", {})
    with cluster(upstream.url, REPLICAS, **options) as made:
        yield made


@pytest.fixture
def servers(shared_cluster: Cluster, upstream: SimulatorServer) -> Cluster:
    """All three, with an empty script and log."""
    upstream.script.clear()
    upstream.log.clear()
    for one in shared_cluster.replicas:
        if not one.is_running:
            one.start()
    return shared_cluster


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Clients of the LangGraph API that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(get_sync_client(url=url))


def wait_for(condition: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """What the condition finds, once it finds something."""
    deadline = time.monotonic() + wait_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def question(text: str) -> Any:
    return {"messages": [{"role": "user", "content": text}]}


def messages_of(client: SyncLangGraphClient, thread_id: str) -> list[dict[str, Any]]:
    state: Any = client.threads.get_state(thread_id)
    return list(state["values"]["messages"])


def holder_of(servers: Cluster, run_id: str) -> Replica:
    return wait_for(lambda: servers.at_work_on(run_id))  # type: ignore[no-any-return]


def others_than(servers: Cluster, one: Replica) -> list[Replica]:
    return [other for other in servers.running if other is not one]


def events_of(url: str, thread_id: str, run_id: str, after: str | None = None) -> list[Any]:
    """The ids and names of the events of a run's stream, to its end."""
    headers = {"Last-Event-ID": after} if after else {}
    path = f"{url}/threads/{thread_id}/runs/{run_id}/stream"
    events: list[Any] = []
    with httpx.stream("GET", path, headers=headers, timeout=WAIT_S) as answer:
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            if line and not line.startswith(":"):
                key, _, value = line.partition(": ")
                event[key] = value
            elif event:
                events.append((event.get("id"), event.get("event")))
                event = {}
    return events
