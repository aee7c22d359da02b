import asyncio
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.integration

SERVER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from potluck.sandbox.probe import find_runner
from potluck.settings import Settings

async def serve(home):
    runner = await find_runner(
        Settings(), workspaces=home / "workspaces", clock=lambda: datetime.now(UTC)
    )
    await runner.python(home / "workspaces" / "w", "1")
    print("up", flush=True)
    await runner.shell(home / "workspaces" / "w", "sleep 4325", tell=None)

asyncio.run(serve(Path(sys.argv[1])))
"""


@pytest.mark.usefixtures("launcher")
async def test_nothing_survives_a_server_that_is_killed(home: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(home), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    assert await asyncio.wait_for(server.stdout.readline(), 30) == b"up\n"
    family: list[psutil.Process] = []
    # The command itself, not the wrapping on its way there: only then do all die with the server.
    while not any(_command_line(process) == "sleep 4325" for process in family):
        await asyncio.sleep(0.01)
        family = psutil.Process(server.pid).children(recursive=True)
    assert any("ipykernel_launcher" in _command_line(process) for process in family)
    server.kill()
    await server.wait()
    _, living = await asyncio.to_thread(psutil.wait_procs, family, 20)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in living)


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
