"""`potluck chat` as a user runs it, against a real server."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from potluck.simulator.reply import Delay, Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PROJECT_DIR = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "potluck"]


def potluck(
    server: Any, *args: str, given: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args],
        cwd=PROJECT_DIR,
        env=server.environment() | env,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def thread_of(done: subprocess.CompletedProcess[str]) -> str:
    found = re.search(r"--thread (\S+)", done.stderr)
    assert found, done.stderr
    return found[1]


def test_one_question_gets_its_answer_with_what_was_done_beside_it(server: Any) -> None:
    server.simulator.script.on(Reply.call("calculator", expression="6*7"), Reply(text="It is 42."))
    done = potluck(server, "chat", "What is 6*7?")
    assert done.returncode == 0
    assert done.stdout == "It is 42.\n"
    assert "→ calculator(expression='6*7')" in done.stderr
    assert "← 6*7 = 42" in done.stderr


def test_a_thread_goes_on(server: Any) -> None:
    server.simulator.script.on(Reply(text="Noted."))
    first = potluck(server, "chat", "My name is Ada")
    second = potluck(server, "chat", "What is my name?", "--thread", thread_of(first))
    assert thread_of(second) == thread_of(first)
    asked = server.simulator.log.requests()[-1]
    assert "My name is Ada" in str(asked.messages)


def test_the_question_may_come_through_a_pipe(server: Any) -> None:
    server.simulator.script.on(lambda request: Reply(text=f"You said {request.last_user_text}"))
    assert potluck(server, "chat", given="hello\n").stdout == "You said hello\n"


def test_a_blank_question_is_an_error(server: Any) -> None:
    done = potluck(server, "chat", "  ")
    assert done.returncode == 1
    assert done.stderr.startswith("potluck: There is no message.")


def test_a_server_that_does_not_answer_is_named(server: Any) -> None:
    done = potluck(server, "chat", "hi", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "http://127.0.0.1:1" in done.stderr
    assert "potluck serve" in done.stderr


def test_without_a_server_one_runs_for_the_length_of_the_chat(server: Any, own_home: Path) -> None:
    server.simulator.script.on(Reply(text="Hello."))
    done = potluck(server, "chat", "hi", POTLUCK_HOME=str(own_home))
    assert done.stdout == "Hello.\n", done.stderr
    assert done.returncode == 0
    assert not (own_home / "server.json").exists()


def test_a_closed_terminal_takes_the_server_with_it(server: Any, own_home: Path) -> None:
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    process = subprocess.Popen(
        [*COMMAND, "chat", "Talk"],
        cwd=PROJECT_DIR,
        env=server.environment() | {"POTLUCK_HOME": str(own_home), "POTLUCK_API_KEYS": "me:key"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == "word "
    assert (own_home / "server.json").exists()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGHUP
    assert not (own_home / "server.json").exists()


def test_a_server_that_cannot_start_says_why(server: Any, tmp_path: Path) -> None:
    (tmp_path / "providers.yaml").write_text("providers: [")
    env = {"POTLUCK_HOME": str(tmp_path), "POTLUCK_CONFIG_DIR": str(tmp_path)}
    done = potluck(server, "chat", "hi", **env)
    assert done.returncode == 1
    assert "providers.yaml:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_cancels_the_run_on_the_server(server: Any) -> None:
    server.simulator.script.on(Reply(text="word " * 400, delay=Delay(per_chunk_s=0.05)))
    process = subprocess.Popen(
        [*COMMAND, "chat", "Talk"],
        cwd=PROJECT_DIR,
        env=server.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.read(5) == "word "
    process.send_signal(signal.SIGINT)
    _, beside = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in beside
    thread_id = beside.rsplit("--thread ", 1)[1].strip()
    with get_sync_client(url=server.url) as client:
        deadline = time.monotonic() + 5
        while (run := client.runs.list(thread_id)[0])["status"] == "running":
            assert time.monotonic() < deadline, run
            time.sleep(0.05)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def test_a_conversation_goes_on_until_the_user_leaves(
    server: Any, terminal: tuple[int, int]
) -> None:
    server.simulator.script.on(lambda request: Reply(text=f"You said {request.last_user_text}."))
    ours, theirs = terminal
    process = subprocess.Popen(
        [*COMMAND, "chat"],
        cwd=PROJECT_DIR,
        env=server.environment() | {"TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = ""
    for prompted, typed in enumerate(["one", "two", "/exit"], start=1):
        while seen.count("you> ") < prompted:
            seen += os.read(ours, 4096).decode()
        os.write(ours, f"{typed}\n".encode())
    assert process.wait(20) == 0
    assert "You said one." in seen
    assert "You said two." in seen


def test_what_comes_through_a_pipe_stands_behind_the_question(server: Any) -> None:
    server.simulator.script.on(Reply(text="Short."))
    done = potluck(server, "chat", "Sum this up:", given="one\ntwo\n")
    assert done.stdout == "Short.\n", done.stderr
    asked = server.simulator.log.requests()[-1]
    assert "Sum this up:\n\none\ntwo" in asked.last_user_text


@pytest.mark.parametrize(("asked", "given"), [(b"Sum up", b"\xff\xfe\x00"), (b"a\xff", b"")])
def test_what_is_no_text_is_refused(server: Any, asked: bytes, given: bytes) -> None:
    done = subprocess.run(
        [*COMMAND, "chat", asked],
        cwd=PROJECT_DIR,
        env=server.environment() | {"PYTHONUTF8": "1"},
        input=given,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert b"no text in UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_last_thread_of_a_terminal_is_gone_on_with(server: Any) -> None:
    server.simulator.script.on(Reply(text="Noted."))
    first = potluck(server, "chat", "My name is Ada")
    with get_sync_client(url=server.url) as client:
        # A thread of another door is none of the terminal's
        client.threads.create(metadata={"title": "elsewhere"})
    second = potluck(server, "chat", "What is my name?", "--last")
    assert thread_of(second) == thread_of(first)
    both = potluck(server, "chat", "x", "--last", "--thread", "y")
    assert both.returncode == 2
    assert "not both" in both.stderr


def test_a_model_is_asked_first_by_a_part_of_its_name(server: Any) -> None:
    server.simulator.script.on(Reply(text="Hello."))
    assert potluck(server, "chat", "hi", "--model", "mistral-small").returncode == 0
    assert server.simulator.log.requests()[-1].model == "mistral-small-latest"
    wrong = potluck(server, "chat", "hi", "--model", "mistral/mistral-smal-latest")
    assert wrong.returncode == 1
    assert "mistral/mistral-small-latest" in wrong.stderr


def test_a_pipe_that_is_closed_early_ends_quietly(server: Any) -> None:
    command = f"{sys.executable} -m potluck models | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=PROJECT_DIR,
        env=server.environment() | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_threads_are_completed_for_the_shell(server: Any) -> None:
    server.simulator.script.on(Reply(text="Noted."))
    thread_id = thread_of(potluck(server, "chat", "About my trip to Nara"))
    asked = {
        "_POTLUCK_COMPLETE": "complete_bash",
        "COMP_WORDS": f"potluck chat --thread {thread_id[:6]}",
        "COMP_CWORD": "3",
        "PATH": os.environ["PATH"],
    }
    program = str(Path(sys.executable).with_name("potluck"))
    done = subprocess.run(
        [program],
        cwd=PROJECT_DIR,
        env=server.environment() | asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert thread_id in done.stdout, done.stderr


def test_check_and_models_work_beside_a_running_server(server: Any) -> None:
    checked = potluck(server, "check", "--json")
    assert checked.returncode == 0, checked.stdout
    assert server.url in checked.stdout
    listed = potluck(server, "models")
    assert listed.returncode == 0
    assert "simulated at" in listed.stdout
