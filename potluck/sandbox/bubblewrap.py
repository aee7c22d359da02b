"""bubblewrap: the walls of a sandbox, as one command line."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from potluck.errors import SandboxError
from potluck.sandbox.interpreter import Interpreter
from potluck.sandbox.kernel_command import kernel_command
from potluck.sandbox.launch import Launch
from potluck.sandbox.limits import Limits
from potluck.sandbox.ownership import adopt, owner_of
from potluck.sandbox.seccomp import seccomp_filter

WORKSPACE = "/workspace"
RUNTIME = "/run/kernel"
MAX_COMMAND_BYTES = 100_000
# The numerical library's threads; each counts as a process.
_THREADS = str(min(os.cpu_count() or 1, 4))
_UNPRIVILEGED = 1000
_SYSTEM = ("/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_ETC = (
    "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs", "/etc/ca-certificates",
    "/etc/localtime", "/etc/fonts", "/etc/mime.types",
)  # fmt: skip
# What the system tells of itself and of others' keys
_BLANK = ("cmdline", "kallsyms", "kcore", "key-users", "keys", "kmsg", "sched_debug", "timer_list")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_ETC_FOR_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services")


@dataclass(frozen=True, slots=True)
class Program:
    """A command with what it needs beside the workspace: variables, and paths of this machine."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = _NOTHING
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """Runs code where it sees /usr, a Python, its workspace, and nothing else.

    As root it becomes another user for good before the code runs, one for each workspace;
    else it works in a user namespace, in which no further one can be made.
    """

    program: str
    interpreter: Interpreter
    limits: Limits
    network: bool = False
    as_root: bool = False

    def kernel(self, workspace: Path, runtime: Path) -> Launch:
        """A Python kernel in the sandbox."""
        binds = ("--bind", str(runtime), RUNTIME)
        command = kernel_command(str(self.interpreter.executable), f"{RUNTIME}/connection.json")
        return self._launch(workspace, binds, command)

    def shell(self, workspace: Path, command: str) -> Launch:
        """A shell in the sandbox. Raises SandboxError for a command too long to pass on."""
        if len(command.encode("utf-8", "surrogatepass")) > MAX_COMMAND_BYTES or "\0" in command:
            raise SandboxError(
                f"The command is longer than {MAX_COMMAND_BYTES:,} bytes or holds a zero byte.",
                fix="Write it to a file with write_file, and run that.",
            )
        shell = shutil.which("bash", path="/usr/bin:/bin") or "/bin/sh"
        return self._launch(workspace, (), (shell, "-c", command))

    def run_program(self, workspace: Path, program: Program) -> Launch:
        """A program of the user's choice in the sandbox."""
        shown = (Path("/usr"), *self.interpreter.folders)
        read = [p for p in program.read if not any(p.is_relative_to(place) for place in shown)]
        binds: list[str] = []
        for option, paths in (("--ro-bind", read), ("--bind", program.write)):
            for path in paths:
                binds += [*_reachable(path), option, str(path), str(path)]
        return self._launch(workspace, tuple(binds), program.argv, program.env)

    def runtime_seen(self, runtime: Path) -> str:  # noqa: ARG002 - the same for every kernel
        """Where the kernel sees the folder of its sockets."""
        return RUNTIME

    def prepare(self, workspace: Path, *, runtime: Path | None = None) -> None:
        """As root, give the folders to the user that the code will run as."""
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.as_root:
            owner = adopt(workspace, whole=runtime is not None)
            if runtime is not None:
                for path in (runtime, *runtime.iterdir()):
                    os.chown(path, owner, owner, follow_symlinks=False)

    def _launch(
        self,
        workspace: Path,
        binds: tuple[str, ...],
        command: tuple[str, ...],
        env: Mapping[str, str] = _NOTHING,
    ) -> Launch:
        user = owner_of(workspace) if self.as_root else _UNPRIVILEGED
        argv = [
            *_sacrificed_first(),
            self.program,
            *self._namespaces(),
            *_system(),
            *_account(user),
            *_blanked(),
            # Before the Python: a checkout may lie in /tmp.
            *self._scratch(),
            *self._python(),
            *binds,
            "--bind", str(workspace), WORKSPACE,
            "--chdir", WORKSPACE,
            # Whatever was mounted by now stays; the rest of the tree is bubblewrap's own tmpfs.
            "--remount-ro", "/dev",
            "--remount-ro", "/",
            "--seccomp", seccomp_filter(),
            *self._environment(env),
            "--",
            *self._limited(),
            *(_become(user) if self.as_root else ()),
            *command,
        ]  # fmt: skip
        return Launch(tuple(argv), env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})

    def _namespaces(self) -> Iterator[str]:
        yield from ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
        if not self.network:
            yield "--unshare-net"
        yield from ("--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox")
        yield from ("--cap-drop", "ALL")
        if self.as_root:
            # Only until setpriv has become the other user, which drops them.
            for kept in ("SETUID", "SETGID", "SETPCAP", "DAC_OVERRIDE"):
                yield from ("--cap-add", f"CAP_{kept}")
        else:
            yield from ("--unshare-user", "--disable-userns")
            yield from ("--uid", str(_UNPRIVILEGED), "--gid", str(_UNPRIVILEGED))

    def _python(self) -> Iterator[str]:
        for folder in self.interpreter.folders:
            yield from _reachable(folder)
            yield from ("--ro-bind", str(folder), str(folder))
        yield from _reachable(Path("/etc/ssl/certs"))
        for name in _ETC + (_ETC_FOR_NETWORK if self.network else ()):
            yield from ("--ro-bind-try", name, name)

    def _scratch(self) -> Iterator[str]:
        for path in ("/tmp", "/dev/shm"):  # noqa: S108 - inside of the sandbox
            yield from ("--size", str(self.limits.scratch_bytes), "--perms", "1777")
            yield from ("--tmpfs", path)
        yield from ("--perms", "0755", "--dir", "/run")

    def _environment(self, more: Mapping[str, str]) -> Iterator[str | bytes]:
        variables = {
            "PATH": f"{self.interpreter.executable.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 - inside of the sandbox
            "USER": "sandbox",
            "LOGNAME": "sandbox",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": _THREADS,
            "OPENBLAS_NUM_THREADS": _THREADS,
        }
        for name, value in variables.items():
            yield from ("--setenv", name, value)
        if more:
            # They may be secrets, and a command line is for everybody to see.
            hidden = "".join(f"--setenv\0{name}\0{value}\0" for name, value in more.items())
            yield from ("--args", hidden.encode())

    def _limited(self) -> Iterator[str]:
        limits = self.limits
        yield "prlimit"
        yield f"--as={limits.address_space_bytes}"
        yield f"--nproc={limits.processes}"
        yield f"--nofile={limits.open_files}"
        yield f"--fsize={limits.disk_bytes}"
        yield "--core=0"
        yield "--"


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev")
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def _sacrificed_first() -> tuple[str, ...]:
    """When memory runs out, the system ends the sandbox before anything else."""
    choom = shutil.which("choom")
    return (choom, "-n", "1000", "--") if choom else ()


def _become(user: int) -> Iterator[str]:
    yield "setpriv"
    yield from (f"--reuid={user}", f"--regid={user}", "--clear-groups")
    yield from ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs")
    yield "--"


def _account(user: int) -> Iterator[str | bytes]:
    passwd = f"sandbox:x:{user}:{user}::/tmp:/bin/sh\n".encode()
    group = f"sandbox:x:{user}:\n".encode()
    yield from ("--perms", "0444", "--ro-bind-data", passwd, "/etc/passwd")
    yield from ("--perms", "0444", "--ro-bind-data", group, "/etc/group")


def _blanked() -> Iterator[str]:
    for name in _BLANK:
        file = f"/proc/{name}"
        if os.path.exists(file):  # noqa: PTH110 - a plain name, given on as it is
            yield from ("--ro-bind", "/dev/null", file)


def _reachable(path: Path) -> Iterator[str]:
    """The folders above a path; bubblewrap would close those that it makes to other users."""
    for parent in list(path.parents)[-2::-1]:
        yield from ("--perms", "0755", "--dir", str(parent))
