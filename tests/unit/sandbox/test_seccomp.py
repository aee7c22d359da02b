"""The filter program, run by a small machine that does what the kernel's does."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.sandbox.seccomp import seccomp_filter, supported

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, EAFNOSUPPORT = (
    0x00050000 | code for code in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)
)
X86, ARM = ("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)
machines = pytest.mark.parametrize("machine", [X86, ARM], ids=["x86_64", "aarch64"])
Machine = tuple[str, int]


def verdict(machine: Machine, number: int, *arguments: int, arch: int | None = None) -> int:
    data = struct.pack("=IIQ", number, machine[1] if arch is None else arch, 0)
    data += struct.pack("=6Q", *(*arguments, *[0] * (6 - len(arguments))))
    program = list(struct.iter_unpack("=HBBI", seccomp_filter(machine[0])))
    at = held = 0
    for _ in program:
        code, then, otherwise, value = program[at]
        match code:
            case 0x20:
                held = struct.unpack_from("=I", data, value)[0]
                at += 1
                continue
            case 0x06:
                return value
            case 0x15:
                met = held == value
            case 0x35:
                met = held >= value
            case 0x45:
                met = bool(held & value)
            case _:
                pytest.fail(f"an instruction that the filter should not need: {code:#x}")
        at += 1 + (then if met else otherwise)
    pytest.fail("the program does not end")


@machines
@pytest.mark.parametrize(
    ("x86", "arm"),
    [(101, 117), (165, 40), (272, 97), (308, 268), (321, 280), (425, 425), (304, 265), (250, 219)],
    ids=["ptrace", "mount", "unshare", "setns", "bpf", "io_uring", "open_by_handle_at", "keyctl"],
)
def test_denies_what_opens_walls(machine: Machine, x86: int, arm: int) -> None:
    assert verdict(machine, x86 if machine == X86 else arm) == EPERM


@machines
def test_allows_what_programs_need(machine: Machine) -> None:
    ordinary = (
        {"read": 0, "write": 1, "openat": 257, "execve": 59, "mmap": 9, "fork": 57, "kill": 62}
        if machine == X86
        else {"read": 63, "write": 64, "openat": 56, "execve": 221, "mmap": 222, "kill": 129}
    )
    for name, number in ordinary.items():
        assert verdict(machine, number) == ALLOW, name


@machines
def test_allows_threads_and_children_but_no_new_namespaces(machine: Machine) -> None:
    clone = 56 if machine == X86 else 220
    thread = 0x3D0F00
    assert verdict(machine, clone, thread) == ALLOW
    assert verdict(machine, clone, 17) == ALLOW
    for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, 17 | bit) == EPERM


@machines
def test_sends_programs_from_clone3_whose_flags_cannot_be_seen_to_clone(machine: Machine) -> None:
    assert verdict(machine, 435) == ENOSYS


@machines
@given(family=st.integers(0, 2**32 - 1), kind=st.integers(0, 10), protocol=st.integers(0, 300))
def test_allows_local_and_internet_sockets_alone(
    machine: Machine, family: int, kind: int, protocol: int
) -> None:
    number = 41 if machine == X86 else 198
    allowed = family in {1, 2, 10} or (family == 16 and protocol == 0)
    expected = ALLOW if allowed else EAFNOSUPPORT
    assert verdict(machine, number, family, kind, protocol) == expected


@machines
def test_denies_typing_into_a_terminal_but_allows_to_ask_for_its_size(machine: Machine) -> None:
    ioctl = 16 if machine == X86 else 29
    assert verdict(machine, ioctl, 0, 0x5412) == EPERM
    assert verdict(machine, ioctl, 0, 0x541C) == EPERM
    assert verdict(machine, ioctl, 0, 0x5413) == ALLOW


@machines
def test_ends_programs_that_speak_another_architecture(machine: Machine) -> None:
    assert verdict(machine, 0, arch=0x40000003) == KILL


def test_ends_programs_that_use_the_second_table_of_x86_64() -> None:
    assert verdict(X86, 0x40000000 | 101) == KILL


@machines
@given(number=st.integers(0, 2**32 - 1))
def test_comes_to_a_verdict_on_every_call(machine: Machine, number: int) -> None:
    assert verdict(machine, number) in {ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT}


def test_knows_for_which_processors_it_is() -> None:
    assert supported("x86_64")
    assert supported("aarch64")
    assert not supported("riscv64")
