"""The sandboxes of this process: a Python session for each workspace, a spare one, and a cap."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from potluck.errors import SandboxError
from potluck.sandbox.kernel import Kernel
from potluck.sandbox.launch import Launcher
from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import Outcome, Tell
from potluck.sandbox.runner import is_approved
from potluck.sandbox.shell import run_command
from potluck.sandbox.spare import Spare, Start

SWEEP_EVERY_S = 60.0
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """How many Python sessions there may be, and for how long one may lie idle."""

    sessions: int = 8
    commands: int = 8
    idle: timedelta = timedelta(minutes=15)
    spare: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """How many Python sessions work, how many lie idle, and how many there may be."""

    busy: int
    idle: int
    most: int


@dataclass(slots=True)
class _Session:
    kernel: Kernel
    used_at: datetime


class Sandboxes:
    """Runs code in sandboxes. `each_approved`: only what a person has approved, call by call."""

    def __init__(  # noqa: PLR0913 - by name, and most have a default
        self,
        launcher: Launcher,
        workspaces: Path,
        *,
        limits: Limits,
        clock: Callable[[], datetime],
        size: Size | None = None,
        start: Start | None = None,
        each_approved: bool = False,
    ) -> None:
        self.limits = limits
        self.each_approved = each_approved
        self._launcher = launcher
        self._clock = clock
        self._size = size or Size()
        self._start = start or self._kernel_in
        self._spare = Spare(workspaces, self._start)
        self._sessions: dict[Path, _Session] = {}
        self._lost: dict[Path, str] = {}
        self._turns: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._commands = asyncio.Semaphore(self._size.commands)
        self._commanding: Counter[Path] = Counter()
        self._doors: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sweeping: asyncio.Task[None] | None = None
        self._starting = 0

    def warm_up(self) -> None:
        """Begin to start the spare session."""
        if self._size.spare:
            self._spare.make()

    async def python(
        self, workspace: Path, code: str, *, timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:  # fmt: skip
        """Run a cell in the workspace's session, which is made when there is none."""
        self._refuse_unapproved()
        async with self._turns[workspace]:
            session = await self._session(workspace)
            lost = self._lost.pop(workspace, None)
            try:
                outcome = await session.kernel.run(
                    code, timeout_s=self.limits.timeout_s(timeout_s), tell=tell
                )
            finally:
                session.used_at = self._clock()
                if not session.kernel.alive:
                    self._drop(workspace, session, "it was ended while a cell ran")
            if outcome.state_lost:
                self._lost.pop(workspace, None)
                return outcome
            return replace(outcome, state_lost=lost)

    async def shell(
        self, workspace: Path, command: str, *, timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:  # fmt: skip
        """Run a shell command in a sandbox of its own."""
        self._refuse_unapproved()
        async with self._commands, self._in_use(workspace):
            return await run_command(
                self._launcher, workspace, command, limits=self.limits,
                timeout_s=self.limits.timeout_s(timeout_s), tell=tell,
            )  # fmt: skip

    def standing(self) -> Standing:
        """The sessions as they are now, without the spare one."""
        busy = sum(session.kernel.busy for session in self._sessions.values())
        return Standing(busy, len(self._sessions) - busy, self._size.sessions)

    async def forget(self, workspace: Path) -> None:
        """End the session of a workspace that is about to go."""
        session = self._sessions.pop(workspace, None)
        self._lost.pop(workspace, None)
        self._turns.pop(workspace, None)
        self._doors.pop(workspace, None)
        if session is not None:
            await session.kernel.stop()

    async def sweep(self) -> None:
        """End the sessions that have been idle for too long."""
        limit = self._clock() - self._size.idle
        for workspace, session in list(self._sessions.items()):
            if session.used_at < limit and not session.kernel.busy:
                await self._end(workspace, session, "it was not used for a long time")
        for workspace in [key for key, turn in self._turns.items() if not turn.locked()]:
            if workspace not in self._sessions and workspace not in self._commanding:
                del self._turns[workspace]
                self._doors.pop(workspace, None)

    async def aclose(self) -> None:
        """End every session."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
        await self._spare.aclose()
        for workspace in list(self._sessions):
            await self.forget(workspace)

    async def _session(self, workspace: Path) -> _Session:
        session = self._sessions.get(workspace)
        if session is not None and session.kernel.alive:
            return session
        if session is not None:
            self._drop(workspace, session, "its process had ended")
        await self._make_room()
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep_for_ever())
        self._starting += 1
        try:
            kernel = await self._from_spare(workspace) or await self._start(workspace)
        finally:
            self._starting -= 1
        session = self._sessions[workspace] = _Session(kernel, self._clock())
        self.warm_up()
        return session

    async def _from_spare(self, workspace: Path) -> Kernel | None:
        """The spare session, unless a command runs in the very folder that it would replace."""
        async with self._doors[workspace]:
            if self._commanding[workspace]:
                return None
            return await self._spare.take(workspace)

    @contextlib.asynccontextmanager
    async def _in_use(self, workspace: Path) -> AsyncIterator[None]:
        async with self._doors[workspace]:
            self._commanding[workspace] += 1
        try:
            yield
        finally:
            self._commanding[workspace] -= 1
            if not self._commanding[workspace]:
                del self._commanding[workspace]

    async def _make_room(self) -> None:
        """End the session that was idle the longest while there are too many; wait if all work."""
        try:
            async with asyncio.timeout(self.limits.start_timeout_s):
                while len(self._sessions) + self._starting >= self._size.sessions:
                    if not await self._end_idlest():
                        await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError as error:
            raise SandboxError(
                f"All {self._size.sessions} Python sessions of this server are at work.",
                fix="Try again in a minute.",
                may_pass=True,
            ) from error

    async def _end_idlest(self) -> bool:
        idle = [
            (session.used_at, workspace, session)
            for workspace, session in self._sessions.items()
            if not session.kernel.busy
        ]
        if not idle:
            return False
        _, workspace, session = min(idle, key=lambda found: found[0])
        await self._end(workspace, session, "other sessions needed its place")
        return True

    async def _end(self, workspace: Path, session: _Session, why: str) -> None:
        self._drop(workspace, session, why)
        await session.kernel.stop()

    def _drop(self, workspace: Path, session: _Session, why: str) -> None:
        if self._sessions.get(workspace) is session:
            del self._sessions[workspace]
            self._lost[workspace] = why

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            await self.sweep()

    async def _kernel_in(self, workspace: Path) -> Kernel:
        return await Kernel.start(self._launcher, workspace, self.limits)

    def _refuse_unapproved(self) -> None:
        if self.each_approved and not is_approved():
            raise SandboxError(
                "Without a sandbox, a person must approve each call, and nobody was asked.",
                fix="Set the policy of `python` and `shell` to `ask` in config/tools.yaml.",
            )
