from datetime import UTC, datetime
from pathlib import Path

import pytest

from potluck.errors import SandboxError
from potluck.sandbox.bubblewrap import Bubblewrap
from potluck.sandbox.limits import Limits
from potluck.sandbox.monty import MontyRunner
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.probe import find_launcher, find_runner, probe
from potluck.settings import Settings

pytestmark = pytest.mark.integration


@pytest.mark.usefixtures("launcher")
async def test_a_working_sandbox_is_found_and_described(tmp_path: Path) -> None:
    settings = Settings(potluck_home=tmp_path)
    finding = await probe(settings)
    assert finding.state == "ok"
    assert "bubblewrap" in finding.text
    assert "without network" in finding.text
    runner = await find_runner(settings, workspaces=tmp_path, clock=lambda: datetime.now(UTC))
    assert isinstance(runner, Sandboxes)
    assert not runner.each_approved


@pytest.mark.usefixtures("launcher")
async def test_a_python_without_ipykernel_is_refused_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'ipykernel'\" >&2; exit 1\n"
    )
    python.chmod(0o755)
    with pytest.raises(SandboxError, match=r"no ipykernel.*pip install ipykernel"):
        await find_launcher(Settings(potluck_home=tmp_path, potluck_sandbox_python=python))


async def test_another_python_can_be_chosen(launcher: Bubblewrap, tmp_path: Path) -> None:
    python = launcher.interpreter.executable
    found = await find_launcher(Settings(potluck_home=tmp_path, potluck_sandbox_python=python))
    assert found.interpreter == launcher.interpreter


async def test_python_without_libraries_runs_shielded_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("from a file")
    runner = MontyRunner(Limits(default_timeout_s=1.0), SandboxError("no bubblewrap."))
    told: list[str] = []
    outcome = await runner.python(
        tmp_path, "print('hi')\nopen('/workspace/data.txt').read()", tell=told.append
    )
    assert outcome.text == "hi\n'from a file'\n"
    assert told == [outcome.text]
    assert "without libraries" in str(outcome.note)
    for code, said in (
        ("open('/etc/passwd').read()", "Permission"),
        ("open('/workspace/new', 'w').write('x')", "Error"),
        ("import numpy", "No module named"),
        ("1/0", "ZeroDivisionError"),
        ("print(", "SyntaxError"),
    ):
        refused = await runner.python(tmp_path, code)
        assert said in str(refused.error), code
    assert not _exists(tmp_path / "new")
    endless = await runner.python(tmp_path, "while True: pass", timeout_s=0.3)
    assert not endless.ok
    with pytest.raises(SandboxError, match="no bubblewrap"):
        await runner.shell(tmp_path, "ls")
    await runner.aclose()


def _exists(file: Path) -> bool:
    return file.exists()
