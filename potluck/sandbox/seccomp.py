"""The system calls that a sandbox may not make, as a filter program for the kernel (BPF)."""

import errno
import platform
import struct
from collections.abc import Iterator
from functools import cache

# Numbers: Linux, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "quotactl_fd": 443, "memfd_secret": 447, "open_tree_attr": 467,
}  # fmt: skip
_DENIED: dict[str, dict[str, int]] = {
    "x86_64": _EVERYWHERE | {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
        "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
        "unshare": 272, "setns": 308, "kexec_load": 246, "kexec_file_load": 320,
        "init_module": 175, "finit_module": 313, "delete_module": 176, "reboot": 169,
        "swapon": 167, "swapoff": 168, "acct": 163, "syslog": 103, "quotactl": 179,
        "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "vhangup": 153,
        "lookup_dcookie": 212, "nfsservctl": 180, "fanotify_init": 300, "move_pages": 279,
        "vmsplice": 278, "iopl": 172, "ioperm": 173, "uselib": 134, "sysctl": 156,
        "modify_ldt": 154,
    },
    "aarch64": _EVERYWHERE | {
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
        "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
        "unshare": 97, "setns": 268, "kexec_load": 104, "kexec_file_load": 294,
        "init_module": 105, "finit_module": 273, "delete_module": 106, "reboot": 142,
        "swapon": 224, "swapoff": 225, "acct": 89, "syslog": 116, "quotactl": 60,
        "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266, "adjtimex": 171,
        "name_to_handle_at": 264, "open_by_handle_at": 265, "vhangup": 58,
        "lookup_dcookie": 18, "nfsservctl": 42, "fanotify_init": 262, "move_pages": 239,
        "vmsplice": 75,
    },
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_SOCKET = {"x86_64": 41, "aarch64": 198}
_IOCTL = {"x86_64": 16, "aarch64": 29}

# cgroup, UTS, IPC, user, PID, network and mount namespaces
_CLONE_NEW = 0x7E020000
_TIOCSTI = 0x5412
_TIOCLINUX = 0x541C
# The others reach past a network namespace (vsock) or are a wide door to the kernel.
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
# Of netlink only the part that lists network interfaces; ZeroMQ in the kernel asks for it.
_NETLINK, _NETLINK_ROUTE = 16, 0
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARG0, _ARG1, _ARG2 = 0, 4, 16, 24, 32
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def supported(machine: str = platform.machine()) -> bool:
    """Whether there is a filter for this kind of processor."""
    return machine in _DENIED


@cache
def seccomp_filter(machine: str = platform.machine()) -> bytes:
    """The program that `bwrap --seccomp` loads; denied calls fail with EPERM."""
    return b"".join(_program(machine))


def _program(machine: str) -> Iterator[bytes]:
    yield _op(_LOAD, value=_ARCH)
    yield from _unless(_EQUAL, _AUDIT_ARCH[machine], _KILL)
    yield _op(_LOAD, value=_NUMBER)
    if machine == "x86_64":
        yield from _when(_AT_LEAST, _X32, _KILL)
    # glibc then takes clone, whose flags can be looked at.
    yield from _when(_EQUAL, _CLONE3, _ERRNO | errno.ENOSYS)
    for number in sorted(_DENIED[machine].values()):
        yield from _when(_EQUAL, number, _ERRNO | errno.EPERM)
    yield from _looked_at(_CLONE[machine], _ARG0, list(_when(_ANY_BIT, _CLONE_NEW, _denied())))
    terminal = [*_when(_EQUAL, _TIOCSTI, _denied()), *_when(_EQUAL, _TIOCLINUX, _denied())]
    yield from _looked_at(_IOCTL[machine], _ARG1, terminal)
    families = [line for known in _FAMILIES.values() for line in _when(_EQUAL, known, _ALLOW)]
    refusal = _op(_RETURN, value=_ERRNO | errno.EAFNOSUPPORT)
    route = [_op(_LOAD, value=_ARG2), *_when(_EQUAL, _NETLINK_ROUTE, _ALLOW), refusal]
    netlink = [_op(_EQUAL, value=_NETLINK, otherwise=len(route)), *route]
    yield from _looked_at(_SOCKET[machine], _ARG0, [*families, *netlink, refusal])
    yield _op(_RETURN, value=_ALLOW)


def _denied() -> int:
    return _ERRNO | errno.EPERM


def _when(compare: int, value: int, verdict: int) -> Iterator[bytes]:
    yield _op(compare, value=value, otherwise=1)
    yield _op(_RETURN, value=verdict)


def _unless(compare: int, value: int, verdict: int) -> Iterator[bytes]:
    yield _op(compare, value=value, then=1)
    yield _op(_RETURN, value=verdict)


def _looked_at(number: int, argument: int, lines: list[bytes]) -> Iterator[bytes]:
    """For one call: load an argument, run the lines, and load the call's number again."""
    yield _op(_EQUAL, value=number, otherwise=len(lines) + 2)
    yield _op(_LOAD, value=argument)
    yield from lines
    yield _op(_LOAD, value=_NUMBER)


def _op(code: int, *, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
