import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from blockbuster import BlockBuster

from potluck.sandbox.bubblewrap import Bubblewrap
from potluck.sandbox.ownership import FIRST_USER, LAST_USER
from potluck.sandbox.pool import Sandboxes, Size
from tools.files import edit_file, read_file, write_file
from tools.workspace import Workspace, use_workspace

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(launcher: Bubblewrap, home: Path) -> AsyncIterator[Sandboxes]:
    opened = Sandboxes(
        launcher, home / "workspaces", limits=launcher.limits,
        clock=lambda: datetime.now(UTC), size=Size(sessions=3),
    )  # fmt: skip
    yield opened
    await opened.aclose()


async def test_a_new_thread_takes_the_spare_session_and_its_files_lie_in_its_workspace(
    warm: Sandboxes, home: Path
) -> None:
    warm.warm_up()
    workspace = Workspace.for_thread(home, "new-thread")
    outcome = await warm.python(workspace.root, "open('made.txt', 'w').write('by the spare')")
    assert outcome.ok
    assert workspace.read("made.txt") == b"by the spare"
    assert (await warm.shell(workspace.root, "cat made.txt")).text == "by the spare"


async def test_file_tools_and_the_sandbox_see_and_change_the_same_files(
    warm: Sandboxes, home: Path
) -> None:
    workspace = Workspace.for_thread(home, "files")
    with use_workspace(workspace):
        write_file.invoke({"path": "notes/a.txt", "text": "one"})
        await warm.python(workspace.root, "open('notes/a.txt', 'a').write(' two')")
        await warm.shell(workspace.root, "echo more > notes/b.txt")
        edit_file.invoke({"path": "notes/a.txt", "old": "one", "new": "1"})
        assert read_file.invoke({"path": "notes/b.txt"}) == "more\n"
        write_file.invoke({"path": "notes/c/d.txt", "text": "deep"})
        changed = await warm.shell(
            workspace.root, "cat notes/a.txt; echo x >> notes/c/d.txt; rm -r notes; ls"
        )
    assert changed.text == "1 two"
    assert changed.exit_code == 0


async def test_a_command_that_runs_already_keeps_its_folder_when_a_session_begins(
    warm: Sandboxes, home: Path
) -> None:
    workspace = Workspace.for_thread(home, "both")
    command = "for i in $(seq 1000); do [ -e go ] && echo x > kept && exit; sleep 0.01; done"
    running = asyncio.create_task(warm.shell(workspace.root, command))
    await asyncio.sleep(0.1)
    assert (await warm.python(workspace.root, "open('go', 'w').close()")).ok
    await running
    assert workspace.read("kept") == b"x\n"


async def test_links_made_by_code_lead_file_tools_nowhere(warm: Sandboxes, home: Path) -> None:
    workspace = Workspace.for_thread(home, "links")
    await warm.shell(workspace.root, "ln -s /etc/passwd way-out; ln -s / root; echo x > a; ln a b")
    with use_workspace(workspace):
        for path in ("way-out", "root/etc/passwd", "b"):
            with pytest.raises(Exception, match="link"):
                read_file.invoke({"path": path})


async def test_two_threads_do_not_see_each_others_files(warm: Sandboxes, home: Path) -> None:
    one, two = (Workspace.for_thread(home, name) for name in ("one", "two"))
    await warm.shell(one.root, "echo secret > mine.txt; chmod 666 mine.txt")
    seen = await warm.shell(two.root, f"cat mine.txt ../one/mine.txt {one.root}/mine.txt; ls ..")
    assert "secret" not in seen.text


async def test_code_never_runs_as_root(warm: Sandboxes, home: Path) -> None:
    workspace = Workspace.for_thread(home, "user")
    for run, code in ((warm.python, "import os; os.getuid()"), (warm.shell, "id -u")):
        user = int((await run(workspace.root, code)).text)
        assert user != 0
        if os.geteuid() == 0:
            assert FIRST_USER <= user <= LAST_USER
            assert _owner(workspace.root) == user


async def test_a_workspace_that_goes_takes_its_session_along(warm: Sandboxes, home: Path) -> None:
    workspace = Workspace.for_thread(home, "going")
    await warm.python(workspace.root, "1")
    process = psutil.Process(warm._sessions[workspace.root].kernel.process.pid)
    family = [process, *process.children(recursive=True)]
    await warm.forget(workspace.root)
    _, living = await asyncio.to_thread(psutil.wait_procs, family, 5)
    assert all(member.status() == psutil.STATUS_ZOMBIE for member in living)


async def test_closing_leaves_no_process_and_no_folder(launcher: Bubblewrap, home: Path) -> None:
    before = _kernels()
    pool = Sandboxes(
        launcher, home / "workspaces", limits=launcher.limits, clock=lambda: datetime.now(UTC)
    )
    await pool.python(home / "workspaces" / "closing", "1")
    await asyncio.sleep(0.05)
    await pool.aclose()
    assert _kernels() <= before


async def test_nothing_blocks_the_event_loop(launcher: Bubblewrap, home: Path) -> None:
    pool = Sandboxes(
        launcher, home / "workspaces", limits=launcher.limits, clock=lambda: datetime.now(UTC)
    )
    workspace = home / "workspaces" / "unblocked"
    watchdog = BlockBuster()
    watchdog.activate()
    try:
        pool.warm_up()
        assert (await pool.python(workspace, "1 + 1")).text == "2\n"
        await pool.python(workspace, "import time; time.sleep(9)", timeout_s=0.3)
        await pool.python(workspace, "import os; os._exit(1)")
        await pool.python(workspace, "1")
        await pool.shell(workspace, "sleep 9", timeout_s=0.3)
        await pool.sweep()
        await pool.forget(workspace)
    finally:
        await pool.aclose()
        watchdog.deactivate()


def _kernels() -> set[int]:
    return {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if "ipykernel_launcher" in " ".join(process.cmdline()) and process.name() != "bwrap"
    }


def _owner(folder: Path) -> int:
    return folder.stat().st_uid
