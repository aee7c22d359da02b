import asyncio
import time
from pathlib import Path

import psutil
import pytest

from potluck.errors import SandboxError
from potluck.sandbox.pool import Sandboxes

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


async def test_gives_output_of_both_streams_in_order_and_the_exit_code(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    outcome = await sandboxes.shell(workspace, "echo one; echo two >&2; echo three; exit 3")
    assert outcome.text == "one\ntwo\nthree\n"
    assert outcome.exit_code == 3
    assert not outcome.ok


async def test_sees_the_files_of_python_and_the_other_way_round(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    (workspace / "from-host.txt").write_text("host")
    await sandboxes.python(workspace, "open('from-python.txt', 'w').write('python')")
    outcome = await sandboxes.shell(workspace, "cat from-*.txt; echo shell > from-shell.txt")
    assert outcome.text == "hostpython"
    assert (
        await sandboxes.python(workspace, "open('from-shell.txt').read()")
    ).text == "'shell\\n'\n"
    assert [file.path for file in outcome.files] == ["from-shell.txt"]


async def test_tells_output_while_it_runs(sandboxes: Sandboxes, workspace: Path) -> None:
    heard: list[str] = []
    first = asyncio.Event()

    def hear(text: str) -> None:
        heard.append(text)
        first.set()

    command = "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo done"
    running = asyncio.create_task(sandboxes.shell(workspace, command, tell=hear))
    await asyncio.wait_for(first.wait(), 20)
    assert "".join(heard) == "begun\n"
    (workspace / "go").touch()
    assert (await running).text == "begun\ndone\n"


async def test_a_flood_without_newlines_keeps_beginning_and_end(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    command = "printf first; head -c 50000000 /dev/zero | tr '\\0' x; printf last"
    started = time.monotonic()
    outcome = await sandboxes.shell(workspace, command, timeout_s=20)
    assert time.monotonic() - started < 10
    assert outcome.ok
    assert outcome.text.startswith("firstxxx")
    assert outcome.text.endswith("xxxlast")
    assert outcome.lost_chars > 47_000_000


async def test_a_command_that_takes_too_long_is_stopped_with_all_that_it_started(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    command = "echo begun; (setsid nohup sleep 4321 &) ; sleep 4321"
    outcome = await sandboxes.shell(workspace, command, timeout_s=0.5)
    assert outcome.stopped == "time"
    assert outcome.text == "begun\n"
    assert "4321" not in _command_lines()


async def test_cancelling_ends_the_command(sandboxes: Sandboxes, workspace: Path) -> None:
    begun = asyncio.Event()
    running = asyncio.create_task(
        sandboxes.shell(workspace, "echo begun; sleep 4322", tell=lambda _: begun.set())
    )
    await asyncio.wait_for(begun.wait(), 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "4322" not in _command_lines()


async def test_nothing_waits_for_an_answer(sandboxes: Sandboxes, workspace: Path) -> None:
    outcome = await sandboxes.shell(workspace, "read answer; echo \"got '$answer'\"", timeout_s=10)
    assert outcome.text == "got ''\n"


async def test_refuses_a_command_too_long_to_pass_on(sandboxes: Sandboxes, workspace: Path) -> None:
    with pytest.raises(SandboxError, match="write_file"):
        await sandboxes.shell(workspace, f"echo {'x' * 100_001}")


async def test_commands_of_one_workspace_run_side_by_side(
    sandboxes: Sandboxes, workspace: Path
) -> None:
    meet = (
        "touch {mine}; for i in $(seq 500); do [ -e {other} ] && echo met && exit; sleep 0.01; done"
    )
    outcomes = await asyncio.gather(
        sandboxes.shell(workspace, meet.format(mine="a", other="b")),
        sandboxes.shell(workspace, meet.format(mine="b", other="a")),
    )
    assert [outcome.text for outcome in outcomes] == ["met\n", "met\n"]


def _command_lines() -> str:
    return "\n".join(
        " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    )
