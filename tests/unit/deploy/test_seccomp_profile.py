"""The container's filter forbids what the sandbox's forbids, but for what makes a sandbox."""

from potluck.sandbox.seccomp import _DENIED
from tests.unit.deploy.stack import seccomp

# What bubblewrap calls before the code runs, under the sandbox's own filter
FOR_BUBBLEWRAP = {"mount", "umount2", "pivot_root", "unshare"}
# Gone from Linux since 5.5, and from libseccomp
UNKNOWN = {"sysctl"}


def names(*, whole: bool) -> set[str]:
    """The calls that are forbidden always, or only with some arguments."""
    rules = [rule for rule in seccomp()["syscalls"] if ("args" not in rule) == whole]
    assert {rule["action"] for rule in rules} == {"SCMP_ACT_ERRNO"}
    return {name for rule in rules for name in rule["names"]}


def test_only_what_bubblewrap_needs_is_let_through() -> None:
    inside = {name for calls in _DENIED.values() for name in calls}
    assert inside - names(whole=True) == FOR_BUBBLEWRAP | UNKNOWN


def test_nothing_that_makes_a_sandbox_is_forbidden() -> None:
    needed = FOR_BUBBLEWRAP | {"clone", "clone3", "prctl", "seccomp", "sethostname", "execve"}
    assert not names(whole=True) & needed


def test_sockets_to_the_host_of_a_virtual_machine_are_forbidden() -> None:
    [rule] = [one for one in seccomp()["syscalls"] if one["names"] == ["socket"]]
    assert [(one["value"], one["op"]) for one in rule["args"]] == [(40, "SCMP_CMP_EQ")]


def test_both_processors_that_the_sandbox_knows_are_named() -> None:
    told = {name.removeprefix("SCMP_ARCH_").lower() for name in seccomp()["architectures"]}
    assert told == set(_DENIED)
