"""A server that dies while `potluck chat` waits for its answer."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from potluck.simulator.reply import Delay, Reply
from potluck.simulator.server import SimulatorServer
from tests.conftest import PROJECT_DIR, PotluckServer
from tests.integration.terminal.test_chat import COMMAND, potluck, thread_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_it_is_told_at_once_and_the_thread_can_be_gone_on_with(
    simulator: SimulatorServer, start_server: Callable[..., PotluckServer]
) -> None:
    server = start_server(simulator=simulator)
    simulator.script.clear()
    simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    process = subprocess.Popen(
        [*COMMAND, "chat", "Talk", "--thread", "cut"],
        cwd=PROJECT_DIR,
        env=server.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == "word "
    server.kill()
    while "does not answer; waiting for it" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    # No log and no error of the client stands in between
    assert told.startswith("Thread ")
    assert told.count("\n") == 1
    simulator.script.clear()
    simulator.script.on(Reply(text="Here."))
    server.start()
    done = potluck(server, "chat", "Still there?", "--thread", "cut")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Here.\n")
    assert thread_of(done) in told


def test_one_of_its_own_is_not_waited_for(server: PotluckServer, own_home: Path) -> None:
    assert server.simulator is not None
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    process = subprocess.Popen(
        [*COMMAND, "chat", "Talk"],
        cwd=PROJECT_DIR,
        env=server.environment() | {"POTLUCK_HOME": str(own_home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == "word "
    os.kill(json.loads((own_home / "server.json").read_text())["pid"], signal.SIGKILL)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert told.endswith("does not answer. Start `potluck chat` again.\n")
    server.simulator.script.clear()
    server.simulator.script.on(Reply(text="Here."))
    done = potluck(server, "chat", "Again?", POTLUCK_HOME=str(own_home))
    assert done.stdout == "Here.\n", done.stderr
