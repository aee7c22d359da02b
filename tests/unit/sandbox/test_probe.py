import asyncio
import platform
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from potluck.errors import SandboxError
from potluck.sandbox import probe as module
from potluck.sandbox.limits import MIB
from potluck.sandbox.monty import MontyRunner
from potluck.sandbox.pool import Sandboxes
from potluck.sandbox.probe import find_launcher, find_runner, limits_of, probe
from potluck.sandbox.runner import NoRunner, current_runner
from potluck.settings import Settings


def settings(tmp_path: Path, **given: object) -> Settings:
    return Settings(potluck_home=tmp_path, **given)  # type: ignore[arg-type] # by name


def now() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which

    def which(name: str, path: str | None = None) -> str | None:
        return None if name == "bwrap" else found(name, path=path)

    monkeypatch.setattr(shutil, "which", which)


@pytest.mark.usefixtures("no_bubblewrap")
async def test_without_bubblewrap_the_fix_is_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="apt install bubblewrap"):
        await find_launcher(settings(tmp_path))
    finding = await probe(settings(tmp_path))
    assert finding.state == "off"
    assert "bubblewrap is not installed" in finding.text
    assert finding.fix == module.INSTALL


@pytest.mark.usefixtures("no_bubblewrap")
async def test_without_bubblewrap_python_runs_without_libraries_and_no_shell(
    tmp_path: Path,
) -> None:
    runner = await find_runner(settings(tmp_path), workspaces=tmp_path, clock=now)
    assert isinstance(runner, MontyRunner)
    with pytest.raises(SandboxError, match=r"cannot be run on this machine.*apt install"):
        await runner.shell(tmp_path, "ls")


@pytest.mark.usefixtures("no_bubblewrap")
async def test_without_monty_either_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    runner = await find_runner(settings(tmp_path), workspaces=tmp_path, clock=now)
    assert isinstance(runner, NoRunner)
    with pytest.raises(SandboxError, match=r"bubblewrap is not installed.*apt install"):
        await runner.python(tmp_path, "1")
    finding = await probe(settings(tmp_path))
    assert finding.state == "bad"
    assert "no code is run" in finding.text


@pytest.mark.usefixtures("no_bubblewrap")
async def test_on_the_host_code_runs_only_by_setting_and_approval(tmp_path: Path) -> None:
    chosen = settings(tmp_path, potluck_sandbox="host")
    runner = await find_runner(chosen, workspaces=tmp_path, clock=now)
    assert isinstance(runner, Sandboxes)
    with pytest.raises(SandboxError, match="approve each call"):
        await runner.python(tmp_path, "1")
    finding = await probe(chosen)
    assert finding.state == "off"
    assert "when a person approves it" in finding.text


async def test_switched_off_nothing_runs(tmp_path: Path) -> None:
    chosen = settings(tmp_path, potluck_sandbox="off")
    runner = await find_runner(chosen, workspaces=tmp_path, clock=now)
    with pytest.raises(SandboxError, match="POTLUCK_SANDBOX=auto"):
        await runner.python(tmp_path, "1")
    assert (await probe(chosen)).state == "off"


@pytest.mark.parametrize(
    ("system", "release", "said"),
    [
        ("darwin", "24.0", "There is no sandbox for"),
        ("linux", "5.10.0-30-amd64", "Update to Linux 5.14"),
    ],
)
async def test_a_system_that_cannot_is_told_what_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, release: str, said: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match=said):
        await find_launcher(settings(tmp_path))


def fake_bwrap(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    found = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda n, path=None: str(program) if n == "bwrap" else found(n, path=path)
    )


async def test_an_old_bubblewrap_is_to_be_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_bwrap(tmp_path, monkeypatch, "echo bubblewrap 0.6.1")
    with pytest.raises(SandboxError, match=r"0\.6\.1 is too old"):
        await find_launcher(settings(tmp_path))


@pytest.mark.parametrize(
    ("file", "value", "fix"),
    [
        ("_APPARMOR", "1", "apparmor"),
        ("_USERNS_CLONE", "0", "unprivileged_userns_clone=1"),
        (None, "", "seccomp=unconfined"),
    ],
)
async def test_walls_that_cannot_be_built_have_the_fix_for_this_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, value: str, fix: str
) -> None:
    fails = '[ "$1" = --version ] && echo 0.11.0 || { echo "bwrap: No permissions" >&2; exit 1; }'
    fake_bwrap(tmp_path, monkeypatch, fails)
    for name in ("_APPARMOR", "_USERNS_CLONE"):
        monkeypatch.setattr(module, name, tmp_path / name)
    if file:
        (tmp_path / file).write_text(f"{value}\n")
    with pytest.raises(SandboxError, match="No permissions") as caught:
        await find_launcher(settings(tmp_path))
    assert caught.value.fix is not None
    assert fix in caught.value.fix


def test_limits_follow_the_settings(tmp_path: Path) -> None:
    limits = limits_of(
        settings(
            tmp_path,
            potluck_sandbox_memory_mb=512,
            potluck_sandbox_disk_mb=64,
            potluck_sandbox_timeout_s=30,
        )
    )
    assert limits.memory_bytes == 512 * MIB
    assert limits.disk_bytes == 64 * MIB
    assert limits.timeout_s(None) == 30
    assert limits.timeout_s(3600) == 30


def test_outside_of_a_run_nothing_is_run(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="no sandbox is set up"):
        asyncio.run(current_runner().python(tmp_path, "1"))
