"""Tool calls that wait for a person, found on a thread and shown."""

from typing import Any

import pytest

from potluck.server import approvals
from potluck.server.approvals import Approval, approvals_in, pending_approvals, shown
from potluck.server.thread_queue import ThreadBusyError


def asked(interrupt_id: str, name: str = "shell") -> dict[str, Any]:
    request = {"name": name, "args": {"command": "ls"}, "description": "why"}
    return {"id": interrupt_id, "value": {"action_requests": [request]}}


PARKED = {"id": "p", "value": {"type": "parked", "resume_at": "2026-11-21T00:00:00+00:00"}}
WAITING = Approval("i1", "shell", {"command": "ls"}, "why")


def test_interrupts_of_another_kind_are_left_alone() -> None:
    others = [
        PARKED,
        {"id": "x", "value": "sure?"},
        {"id": "y"},
        {"value": {"action_requests": []}},
    ]
    assert approvals_in([*others, asked("i1"), asked("i1")]) == (WAITING,)


class FakeThreads:
    """A thread that has these statuses, one after the other."""

    def __init__(self, *statuses: str) -> None:
        self.threads = self
        self.statuses = list(statuses)

    async def get(self, _: str) -> dict[str, str]:
        return {"status": self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]}

    async def get_state(self, _: str) -> dict[str, Any]:
        return {"tasks": [{"interrupts": [asked("i1")]}, {"interrupts": [PARKED]}]}


async def pending(*statuses: str) -> tuple[Approval, ...]:
    return await pending_approvals(FakeThreads(*statuses), "t")  # type: ignore[arg-type]


async def test_finds_what_waits_once_the_run_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "POLL_S", 0.0001)
    assert await pending("busy", "busy", "interrupted") == (WAITING,)


async def test_a_thread_that_is_not_stopped_waits_for_nobody() -> None:
    assert await pending("idle") == ()


async def test_a_run_that_does_not_end_makes_the_thread_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(approvals, "SETTLE_TIMEOUT_S", 0.002)
    monkeypatch.setattr(approvals, "POLL_S", 0.001)
    with pytest.raises(ThreadBusyError):
        await pending("busy")


def test_arguments_are_shown_whole_and_cannot_pretend_to_be_others() -> None:
    args = {"path": "a.txt", "text": "one\npath: b.txt", "append": True, "tags": ["x"]}
    assert shown(args) == (
        'path: a.txt\ntext:\n    one\n    path: b.txt\nappend: true\ntags: ["x"]'
    )


@pytest.mark.parametrize("hidden", ["\x1b", "\r", "\u202e", "\u200b", "\u2028", "\x85"])
def test_what_nobody_would_see_is_written_out(hidden: str) -> None:
    assert shown({"command": f"ls{hidden}"}).startswith("command: ls\\")
