"""Every way out that the benchmark knows, and some that need a look from outside."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from benchmarks.sandbox_escapes import ESCAPES, Escape, held
from benchmarks.sandbox_stage import KEY_NAME, Stage, open_stage
from potluck.sandbox.host import Host
from potluck.sandbox.interpreter import Interpreter
from potluck.sandbox.limits import Limits
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.shell import run_command

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(home: Path) -> AsyncIterator[Stage]:
    async with open_stage(home / "workspaces", in_user_namespace=os.geteuid() != 0) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_workspace(home: Path) -> Path:
    return home / "workspaces" / "escapes"


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
async def test_no_escape_works(
    escape: Escape, sandboxes: Sandboxes, shared_workspace: Path, stage: Stage
) -> None:
    run = sandboxes.python if escape.tool == "python" else sandboxes.shell
    outcome = await run(shared_workspace, escape.script(stage.values), timeout_s=30)
    assert outcome.error is None
    assert outcome.stopped is None
    assert held(outcome.text), outcome.text
    assert stage.contacts == []
    assert stage.values["key"] not in outcome.text


@pytest.mark.parametrize(
    "escape", [e for e in ESCAPES if e.works_bare], ids=lambda escape: escape.name
)
async def test_the_same_escapes_work_without_walls(
    escape: Escape, stage: Stage, workspace: Path
) -> None:
    """Otherwise the tests above would prove nothing."""
    script = workspace / "escape.py"
    script.write_text(escape.script(stage.values))
    host = Host(Interpreter.own())
    outcome = await run_command(host, workspace, "python escape.py", limits=Limits(), timeout_s=20)
    assert "ESCAPED" in outcome.text, outcome.text
    stage.contacts.clear()


async def test_the_servers_environment_is_not_handed_on_even_without_walls(
    stage: Stage, workspace: Path
) -> None:
    host = Host(Interpreter.own())
    outcome = await run_command(host, workspace, "env", limits=Limits(), timeout_s=20)
    assert os.environ[KEY_NAME] == stage.values["key"]
    assert KEY_NAME not in outcome.text


async def test_what_a_cell_starts_ends_with_it(sandboxes: Sandboxes, workspace: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "for _ in range(3): subprocess.Popen(['setsid', 'sleep', '4323'])\n"
        "subprocess.run('(setsid nohup sleep 4323 >/dev/null 2>&1 &)', shell=True).returncode"
    )
    outcome = await sandboxes.python(workspace, code)
    assert outcome.ok
    living = [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if "4323" in (process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
    assert living == []
    assert (await sandboxes.python(workspace, "'the session lives on'")).ok


async def test_threads_of_a_session_do_not_run_on_between_cells(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    code = (
        "import threading, time\n"
        "def work():\n"
        "    while True: open('beats', 'a').write('.'); time.sleep(0.005)\n"
        "threading.Thread(target=work, daemon=True).start(); time.sleep(0.1)"
    )
    await sandboxes.python(workspace, code)
    beats = _size(workspace / "beats")
    assert beats > 0
    await asyncio.sleep(0.2)
    assert _size(workspace / "beats") == beats


async def test_a_fork_bomb_ends_with_its_command(sandboxes: Sandboxes, workspace: Path) -> None:
    before = len(psutil.pids())
    outcome = await sandboxes.shell(workspace, ":(){ :|:& };: ; sleep 5; echo over", timeout_s=1)
    assert outcome.text
    assert len(psutil.pids()) < before + 50


async def test_killing_everything_kills_only_what_is_inside(
    sandboxes: Sandboxes, workspace: Path, stage: Stage
) -> None:
    code = (
        "import os\n"
        "for pid in (-1, 1):\n"
        "    try: os.kill(pid, 9)\n"
        "    except OSError: pass\n"
        "os.kill(os.getpid(), 9)"
    )
    outcome = await sandboxes.python(workspace, code)
    assert outcome.stopped == "crash"
    assert psutil.pid_exists(int(stage.values["victim_pid"]))
    assert (await sandboxes.python(workspace, "1")).text == "1\n"


async def test_a_kernel_cannot_have_the_server_talk_to_another_socket(
    sandboxes: Sandboxes, workspace: Path, stage: Stage
) -> None:
    code = (
        "import glob, os\n"
        "for path in glob.glob('/run/kernel/k-*'):\n"
        "    os.unlink(path); os.symlink('{unix_socket}', path)\n"
        "os._exit(0)"
    )
    await sandboxes.python(workspace, code.replace("{unix_socket}", stage.values["unix_socket"]))
    await asyncio.sleep(0.3)
    assert stage.contacts == []


async def test_many_small_files_are_too_much(sandboxes: Sandboxes, workspace: Path) -> None:
    outcome = await sandboxes.shell(
        workspace, "for i in $(seq 100000); do : > f$i; done", timeout_s=20
    )
    assert outcome.stopped == "disk"
    assert _count(workspace) < 90_000


async def test_many_large_files_are_too_much(sandboxes: Sandboxes, workspace: Path) -> None:
    command = "for i in $(seq 200); do head -c 10000000 /dev/zero > f$i; sleep 0.02; done"
    outcome = await sandboxes.shell(workspace, command, timeout_s=20)
    assert outcome.stopped == "disk"


async def test_folders_nobody_can_look_into_are_told(sandboxes: Sandboxes, workspace: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root looks into every folder")
    outcome = await sandboxes.shell(workspace, "mkdir dark; touch dark/x; chmod 000 dark")
    assert outcome.note is not None
    assert "dark" in outcome.note
    await sandboxes.shell(workspace, "chmod 700 dark")


def _count(folder: Path) -> int:
    return len(list(folder.iterdir()))


def _size(file: Path) -> int:
    return file.stat().st_size
