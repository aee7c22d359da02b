"""A running server lets old things go by itself, and gives up what has been parked for too long."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
from langgraph_sdk.client import SyncLangGraphClient

from potluck.database import database_url
from potluck.settings import PROJECT_DIR, Settings
from potluck.simulator.reply import Fault, Reply
from potluck.simulator.server import SimulatorServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

WAIT_S = 60.0
# As `potluck serve`, but it does not wait for five minutes
SERVE = """
import sys
from potluck.server import retention_task
retention_task.FIRST_AFTER_S, retention_task.EVERY_S = 1.0, 1.0
from potluck.cli import main
sys.argv = ["potluck", "serve", "--port", "0"]
main()
"""


@pytest.fixture
def eager_server(provider: SimulatorServer, one_model: str) -> Iterator[Any]:
    from tests.conftest import PotluckServer, make_home  # noqa: PLC0415

    server = PotluckServer(make_home(), provider, env={"POTLUCK_CONFIG_DIR": one_model})
    with (server.home / "output.log").open("wb") as output:
        server.process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=PROJECT_DIR, env=server.environment(), stdout=output, stderr=output,
        )  # fmt: skip
    server._wait_until_ready()
    yield server
    server.stop()
    shutil.rmtree(server.home)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_old_files_go_and_what_is_parked_for_too_long_is_given_up(
    eager_server: Any, provider: SimulatorServer, connect: Callable[[str], SyncLangGraphClient]
) -> None:
    old = eager_server.home / "workspaces" / "old"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    wait_for(lambda: not old.exists())

    error = {"message": "Too many concurrent requests. Please try again in 3000s."}
    fault = Fault(status=429, body={"error": error}, headers={"retry-after": "3000"})
    provider.script.on(Reply(fault=fault))
    client = connect(eager_server.url)
    thread_id = client.threads.create()["thread_id"]
    question: Any = {"messages": [{"role": "user", "content": "What is the answer?"}]}
    client.runs.wait(thread_id, "agent", input=question)
    assert client.threads.get(thread_id)["status"] == "interrupted"
    with (
        database_url(Settings(potluck_home=eager_server.home, database_url=None)) as url,
        psycopg.connect(url) as connection,
    ):
        connection.execute("UPDATE potluck.parked_runs SET since = now() - interval '31 days'")
    wait_for(lambda: client.threads.get(thread_id)["status"] == "idle")
    state: Any = client.threads.get_state(thread_id)
    assert "Cancelled" in state["values"]["messages"][-1]["content"]
    assert httpx.get(f"{eager_server.url}/quota/parked").json()["parked"] == []
