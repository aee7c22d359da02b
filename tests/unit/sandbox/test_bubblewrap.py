from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from potluck.errors import SandboxError
from potluck.sandbox.bubblewrap import MAX_COMMAND_BYTES, Bubblewrap
from potluck.sandbox.interpreter import Interpreter
from potluck.sandbox.limits import MIB, Limits

LIMITS = Limits(memory_bytes=100 * MIB, processes=7, open_files=8, disk_bytes=9, scratch_bytes=10)


@pytest.fixture
def user_mode(tmp_path: Path) -> Bubblewrap:
    python = Interpreter(tmp_path / "env/bin/python", (tmp_path / "env",))
    return Bubblewrap("/usr/bin/bwrap", python, LIMITS)


@pytest.fixture
def root_mode(user_mode: Bubblewrap) -> Bubblewrap:
    return replace(user_mode, as_root=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspaces/thread"
    made.mkdir(parents=True)
    return made


def words(argv: tuple[str | bytes, ...]) -> list[str]:
    return [part if isinstance(part, str) else "<data>" for part in argv]


def values(argv: list[str], option: str) -> list[str]:
    return [after for before, after in pairwise(argv) if before == option]


def test_only_the_workspace_can_be_written(user_mode: Bubblewrap, workspace: Path) -> None:
    argv = words(user_mode.shell(workspace, "true").argv)
    assert values(argv, "--bind") == [str(workspace)]
    assert values(argv, "--remount-ro") == ["/dev", "/"]
    assert argv.index("--remount-ro") > argv.index("--bind")


def test_shows_the_system_and_the_python_and_nothing_else(
    user_mode: Bubblewrap, workspace: Path, tmp_path: Path
) -> None:
    argv = words(user_mode.shell(workspace, "true").argv)
    shown = values(argv, "--ro-bind")
    system = {"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/dev/null"}
    assert set(shown) - system == {str(tmp_path / "env")}
    assert all(name.startswith("/etc/") for name in values(argv, "--ro-bind-try"))
    assert "/etc/shadow" not in argv
    assert "/" not in shown


def test_has_no_network_unless_it_is_allowed(user_mode: Bubblewrap, workspace: Path) -> None:
    closed = words(user_mode.shell(workspace, "true").argv)
    opened = words(replace(user_mode, network=True).shell(workspace, "true").argv)
    assert "--unshare-net" in closed
    assert "/etc/resolv.conf" not in closed
    assert "--unshare-net" not in opened
    assert "/etc/resolv.conf" in opened


@pytest.mark.parametrize("mode", ["user_mode", "root_mode"])
def test_every_wall_is_up_in_both_modes(
    mode: str, workspace: Path, request: pytest.FixtureRequest
) -> None:
    launcher: Bubblewrap = request.getfixturevalue(mode)
    launch = launcher.kernel(workspace, workspace.parent / "runtime")
    argv = words(launch.argv)
    walls = {
        "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-net", "--die-with-parent",
        "--new-session", "--clearenv", "--seccomp",
    }  # fmt: skip
    assert walls <= set(argv)
    assert values(argv, "--cap-drop") == ["ALL"]
    assert launch.argv[argv.index("--seccomp") + 1].__class__ is bytes


def test_as_a_user_no_further_namespace_can_be_made(user_mode: Bubblewrap, workspace: Path) -> None:
    argv = words(user_mode.shell(workspace, "true").argv)
    assert {"--unshare-user", "--disable-userns"} <= set(argv)
    assert values(argv, "--uid") == ["1000"]
    assert "--cap-add" not in argv


def test_as_root_it_becomes_the_workspaces_owner_before_the_code_runs(
    root_mode: Bubblewrap, workspace: Path
) -> None:
    argv = words(root_mode.shell(workspace, "true").argv)
    owner = workspace.stat().st_uid
    inside = argv[argv.index("prlimit") :]
    assert f"--reuid={owner}" in inside
    assert {"--clear-groups", "--bounding-set=-all", "--no-new-privs"} <= set(inside)
    assert inside[-3:] == [inside[-3], "-c", "true"]


def test_limits_hold_inside(user_mode: Bubblewrap, workspace: Path) -> None:
    argv = words(user_mode.shell(workspace, "true").argv)
    inside = argv[argv.index("prlimit") :]
    assert {"--nproc=7", "--nofile=8", "--fsize=9", "--core=0"} <= set(inside)
    assert f"--as={LIMITS.address_space_bytes}" in inside
    assert values(argv, "--size") == ["10", "10"]


def test_nothing_of_the_servers_environment_is_passed_on(
    user_mode: Bubblewrap, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "very-secret")
    launch = user_mode.shell(workspace, "env")
    assert "very-secret" not in repr(launch)
    assert set(launch.env) == {"PATH"}


def test_folders_above_the_python_are_open_to_its_user(
    user_mode: Bubblewrap, workspace: Path, tmp_path: Path
) -> None:
    argv = words(user_mode.shell(workspace, "true").argv)
    made = [argv[i] for i in range(len(argv)) if argv[i - 3 : i] == _OPEN_FOLDER]
    assert {str(parent) for parent in list(tmp_path.parents)[:-1]} <= set(made)


_OPEN_FOLDER = ["--perms", "0755", "--dir"]


def test_a_python_below_tmp_is_not_hidden_by_the_scratch_folder(
    user_mode: Bubblewrap, workspace: Path
) -> None:
    argv = words(user_mode.shell(workspace, "true").argv)
    first = min(argv.index(str(folder)) for folder in user_mode.interpreter.folders)
    assert argv.index("/tmp") < first  # noqa: S108 - inside of the sandbox


@pytest.mark.parametrize("command", ["x" * (MAX_COMMAND_BYTES + 1), "zero\0byte"])
def test_refuses_a_command_that_cannot_be_passed_on(
    user_mode: Bubblewrap, workspace: Path, command: str
) -> None:
    with pytest.raises(SandboxError, match="write_file"):
        user_mode.shell(workspace, command)


@pytest.mark.parametrize("folder", ["/", "/root", "/home", str(Path.home())])
def test_refuses_a_python_that_would_show_too_much(folder: str) -> None:
    with pytest.raises(SandboxError, match="POTLUCK_SANDBOX_PYTHON"):
        Interpreter.of("/usr/bin/python3", folder, "/usr")


def test_a_python_of_the_system_needs_nothing_more() -> None:
    assert Interpreter.of("/usr/bin/env", "/usr", "/usr").folders == ()
