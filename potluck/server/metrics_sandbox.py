"""A runner whose cells and commands are counted."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

from potluck.errors import SandboxError
from potluck.sandbox.outcome import Outcome, Tell
from potluck.sandbox.runner import Runner

Note = Callable[[str, str, float], None]
"""Takes what was run (`python` or `shell`), how it ended, and how many seconds it took."""


class CountedRunner:
    """Passes everything on to `inner`."""

    def __init__(self, inner: Runner, note: Note) -> None:
        self.inner = inner
        self._note = note

    async def python(
        self, workspace: Path, code: str, *, timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:  # fmt: skip
        """Run a cell, as the inner runner does."""
        work = self.inner.python(workspace, code, timeout_s=timeout_s, tell=tell)
        return await self._counted("python", work)

    async def shell(
        self, workspace: Path, command: str, *, timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:  # fmt: skip
        """Run a command, as the inner runner does."""
        work = self.inner.shell(workspace, command, timeout_s=timeout_s, tell=tell)
        return await self._counted("shell", work)

    async def forget(self, workspace: Path) -> None:
        """End what runs for a workspace that is about to go."""
        await self.inner.forget(workspace)

    async def aclose(self) -> None:
        """End everything."""
        await self.inner.aclose()

    async def _counted(self, kind: str, work: Awaitable[Outcome]) -> Outcome:
        began_s = monotonic()
        # Whoever waits may be cancelled, by the tool's own time limit, too
        result = "cancel"
        try:
            outcome = await work
            result = outcome.stopped or ("ok" if outcome.ok else "error")
        except SandboxError:
            result = "refused"
            raise
        finally:
            self._note(kind, result, monotonic() - began_s)
        return outcome
