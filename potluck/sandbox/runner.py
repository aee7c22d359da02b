"""Whoever runs model-written code: the seam between the tools and a kind of sandbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from potluck.errors import SandboxError
from potluck.sandbox.outcome import Outcome, Tell


class Runner(Protocol):
    """Runs Python and shell commands on the files of a workspace."""

    async def python(
        self,
        workspace: Path,
        code: str,
        *,
        timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:
        """Run a cell in the workspace's Python session. Raises SandboxError when it cannot."""
        ...  # fmt: skip

    async def shell(
        self,
        workspace: Path,
        command: str,
        *,
        timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:
        """Run a shell command in the workspace. Raises SandboxError when it cannot."""
        ...  # fmt: skip

    async def forget(self, workspace: Path) -> None:
        """End what runs for a workspace that is about to go."""
        ...

    async def aclose(self) -> None:
        """End everything."""
        ...


class NoRunner:
    """Refuses to run anything, with the reason and the fix."""

    def __init__(self, reason: SandboxError) -> None:
        self.reason = reason

    async def python(self, *_: object, **__: object) -> Outcome:
        """Refuse."""
        raise self._refusal()

    async def shell(self, *_: object, **__: object) -> Outcome:
        """Refuse."""
        raise self._refusal()

    async def forget(self, workspace: Path) -> None:
        """Nothing runs."""

    async def aclose(self) -> None:
        """Nothing runs."""

    def _refusal(self) -> SandboxError:
        return SandboxError(
            f"Code cannot be run on this machine: {self.reason.message} Go on without running code,"
            " and tell the user how to mend it.",
            fix=self.reason.fix,
        )


NOT_SET_UP = NoRunner(
    SandboxError("no sandbox is set up here.", fix="Start Potluck with `potluck serve`.")
)
_current: ContextVar[Runner] = ContextVar("potluck_runner", default=NOT_SET_UP)
_approved: ContextVar[bool] = ContextVar("potluck_call_approved", default=False)


def current_runner() -> Runner:
    """Who runs the code of the tool call that is under way."""
    return _current.get()


@contextmanager
def use_runner(runner: Runner) -> Iterator[None]:
    """Let `runner` run the code of the tools called inside the block."""
    token = _current.set(runner)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def use_approval() -> Iterator[None]:
    """Say that a person has seen and approved the very call made inside the block."""
    token = _approved.set(True)
    try:
        yield
    finally:
        _approved.reset(token)


def is_approved() -> bool:
    """Whether a person has approved the call that is under way."""
    return _approved.get()
