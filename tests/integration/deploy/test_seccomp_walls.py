"""Under deploy/seccomp.json bubblewrap makes its walls, and what is forbidden does fail."""

import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.deploy.stack import missing, needed, seccomp

pytestmark = pytest.mark.integration

NOBODY = 65_534
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EQUAL = 4
_NO_NEW_PRIVILEGES = 38


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        missing("libseccomp", "`apt install libseccomp2`")
    found = ctypes.CDLL(name)
    found.seccomp_init.restype = ctypes.c_void_p
    return found


def filtered(library: ctypes.CDLL) -> Callable[[], None]:
    """What a container's runtime does before the program: no capability, and the filter."""
    made = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    known = 0
    for rule in seccomp()["syscalls"]:
        comparisons = [
            _Comparison(one["index"], _EQUAL, one["value"]) for one in rule.get("args", [])
        ]
        array = (_Comparison * len(comparisons))(*comparisons)
        action = ctypes.c_uint32(_ERRNO | rule["errnoRet"])
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                # Not of this processor, or newer than the library
                continue
            known += 1
            added = library.seccomp_rule_add_array(made, action, number, len(array), array)
            assert added == 0, name
    assert known > 40

    def enter() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if library.seccomp_load(made) != 0:
            os._exit(99)

    return enter


def run(library: ctypes.CDLL, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        preexec_fn=filtered(library),  # the filter must be loaded in the child
        capture_output=True, text=True, timeout=20, check=False, cwd="/",
    )  # fmt: skip


def test_bubblewrap_makes_its_walls(library: ctypes.CDLL) -> None:
    bwrap = needed("bwrap", "`apt install bubblewrap`")
    options = [
        "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent",
        "--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox",
        "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64",
        "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--remount-ro", "/",
    ]  # fmt: skip
    done = run(library, [bwrap, *options, "--", "/usr/bin/cat", "/proc/sys/kernel/hostname"])
    assert (done.stdout, done.stderr) == ("sandbox\n", "")


def test_what_is_forbidden_fails(library: ctypes.CDLL) -> None:
    setns = shutil.which("nsenter") or needed("nsenter", "`apt install util-linux`")
    done = run(library, [setns, "--target", "1", "--mount", "true"])
    assert done.returncode != 0
    # keyctl, by its number on x86-64 and on aarch64
    code = (
        "import ctypes, os, platform\n"
        "number = {'x86_64': 250, 'aarch64': 219}[platform.machine()]\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.syscall(number, 0, -3, 0), ctypes.get_errno())\n"
    )
    system_python = shutil.which("python3", path="/usr/bin") or sys.executable
    done = run(library, [system_python, "-c", code])
    assert done.stdout.split() == ["-1", "1"], done.stderr
