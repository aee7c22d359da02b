"""A Python session: one IPython kernel in its sandbox, one cell at a time."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from potluck.errors import SandboxError
from potluck.sandbox.cell import Cell
from potluck.sandbox.disk import MAX_LISTED, Contents, contents, file_time_ns
from potluck.sandbox.family import end, end_all_but, family
from potluck.sandbox.kernel_command import PRELUDE
from potluck.sandbox.launch import Launcher, spawn
from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import Outcome, Tell
from potluck.sandbox.output import Output
from potluck.sandbox.watch import Excess, until_excess
from potluck.sandbox.wire import LineBrokenError, Wire, is_idle

_COMPLAINT_BYTES = 4_000
_QUIET_S = 1.0
_LAST_WORDS_S = 0.5


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a kernel lives: its launcher, its limits, and the folder of its sockets."""

    launcher: Launcher
    limits: Limits
    runtime: Path


class Kernel:
    """A running kernel. Cells asked for at once wait for each other."""

    def __init__(
        self, place: _Place, workspace: Path, wire: Wire, process: asyncio.subprocess.Process
    ) -> None:
        self.workspace = workspace
        self.process = process
        self._place = place
        self._wire = wire
        self._lock = asyncio.Lock()
        self._own: frozenset[int] = frozenset()
        self._brain: int | None = None
        self._complaint = b""
        self._draining = asyncio.create_task(self._drain())

    @classmethod
    async def start(cls, launcher: Launcher, workspace: Path, limits: Limits) -> Self:
        """Start a kernel and wait until it takes code. Raises SandboxError when it does not."""
        runtime = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="potluck-kernel-"))
        place = _Place(launcher, limits, runtime)
        wire = Wire(runtime, message_bytes=limits.message_bytes)
        kernel: Self | None = None
        try:
            file = runtime / "connection.json"
            text = wire.connection_file(launcher.runtime_seen(runtime))
            await asyncio.to_thread(file.write_text, text)
            await asyncio.to_thread(launcher.prepare, workspace, runtime=runtime)
            launch = await asyncio.to_thread(launcher.kernel, workspace, runtime)
            process = await spawn(launch, stderr=asyncio.subprocess.STDOUT)
            kernel = cls(place, workspace, wire, process)
            await kernel._answered()
        except BaseException:
            await (kernel.stop() if kernel else _clear(wire, runtime))
            raise
        return kernel

    @property
    def alive(self) -> bool:
        """Whether it can run another cell."""
        return self.process.returncode is None and not self._draining.cancelled()

    @property
    def busy(self) -> bool:
        """Whether a cell is running."""
        return self._lock.locked()

    async def run(self, code: str, *, timeout_s: float, tell: Tell | None = None) -> Outcome:
        """Run a cell, and stop it when it takes too long or too much.

        When it is cancelled, the cell is interrupted; a kernel that does not heed that is ended.
        """
        async with self._lock:
            if not self.alive:
                raise SandboxError("The Python session has ended.", fix="Run the code again.")
            limits = self._place.limits
            output = Output(limits.kept_chars, tell)
            cell = Cell(limits, output)
            since_ns = file_time_ns()
            self._signal(signal.SIGCONT)
            excess = await self._run_cell(code, cell, timeout_s)
            output.flush()
            left = await asyncio.to_thread(self._tidy, since_ns)
            if left is None:
                await self.stop()
                excess = Excess("crash", "processes that it started could not be ended")
            return self._outcome(cell, excess, left or Contents())

    async def stop(self) -> None:
        """End the kernel and everything that it started."""
        try:
            await end(self.process)
            await asyncio.wait({self._draining}, timeout=_LAST_WORDS_S)
        finally:
            self._draining.cancel()
            await _clear(self._wire, self._place.runtime)

    async def _answered(self) -> None:
        limits = self._place.limits
        opening = asyncio.create_task(self._opened())
        ended = asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait(
                {opening, ended},
                timeout=limits.start_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not opening.done():
                await asyncio.wait({self._draining}, timeout=_LAST_WORDS_S if ended.done() else 0)
                raise SandboxError(self._why_not_started(), fix="Run `potluck check`.")
            opening.result()
        finally:
            await _cancelled(opening, ended)
        members = await asyncio.to_thread(family, self.process.pid)
        self._own = frozenset(member.pid for member in members)
        # Walls come first: bubblewrap, its watchman, and last the kernel
        self._brain = members[-1].pid
        self._signal(signal.SIGSTOP)

    async def _opened(self) -> None:
        await self._wire.open()
        asked = self._wire.ask("execute_request", _request(PRELUDE, silent=True))
        while not is_idle(await self._wire.output(), asked):
            pass

    def _why_not_started(self) -> str:
        said = " ".join(self._complaint.decode(errors="replace").split())[-500:]
        if self.process.returncode is None:
            took = f"{self._place.limits.start_timeout_s:g} s"
            return f"The Python session was not ready after {took}. It said: {said or 'nothing'}."
        return f"The Python session could not be started: {said or 'no reason given'}."

    async def _run_cell(self, code: str, cell: Cell, timeout_s: float) -> Excess | None:
        limits = self._place.limits
        folders = (self.workspace, self._place.runtime)
        exchange = asyncio.create_task(self._exchange(code, cell))
        watching = asyncio.create_task(until_excess(self.process.pid, folders, limits, cell.output))
        ended = asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait(
                {exchange, watching, ended},
                timeout=timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if exchange.done() and exchange.exception() is None:
                return None
            excess = _excess(exchange, watching, ended, timeout_s)
            await self._settle(exchange, at_once=excess.kind in {"memory", "crash"})
        except asyncio.CancelledError:
            await self._settle(exchange)
            raise
        else:
            return excess
        finally:
            await _cancelled(exchange, watching, ended)

    async def _settle(self, exchange: asyncio.Task[None], *, at_once: bool = False) -> None:
        """Interrupt the cell; end the kernel when it does not come to rest."""
        settled = False
        try:
            if not at_once and not exchange.done():
                self._wire.interrupt()
                await asyncio.wait({exchange}, timeout=self._place.limits.settle_timeout_s)
            settled = exchange.done() and not exchange.cancelled() and not exchange.exception()
        except LineBrokenError:
            settled = False
        finally:
            if not settled:
                await self.stop()

    async def _exchange(self, code: str, cell: Cell) -> None:
        """Have the kernel run the code, and take in what it tells, until it is done."""
        request = self._wire.ask("execute_request", _request(code))
        last = {request}
        listening = asyncio.create_task(self._listen(last, request, cell))
        try:
            await self._wire.reply(request)
            while not listening.done():
                before = cell.messages
                await asyncio.wait({listening}, timeout=_QUIET_S)
                if listening.done() or cell.messages > before:
                    continue
                if len(last) > 1:
                    raise LineBrokenError("a single output was too large to take in")
                # The word that the cell is done was lost in a flood, or the line is cut.
                last.add(self._wire.ask("kernel_info_request", {}))
            listening.result()
        finally:
            await _cancelled(listening)

    async def _listen(self, last: set[str], request: str, cell: Cell) -> None:
        while True:
            message = await self._wire.output()
            if message.parent == request:
                cell.take(message)
            if any(is_idle(message, asked) for asked in last):
                return

    def _signal(self, number: signal.Signals) -> None:
        """Stop the kernel between cells, so that no thread of it works on, and wake it again."""
        if self._brain is not None and self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._brain, number)

    def _tidy(self, since_ns: int) -> Contents | None:
        """What lies in the workspace; None when processes of the cell cannot be ended."""
        self._signal(signal.SIGSTOP)
        if self.alive and self._own and not end_all_but(self._own, self.process.pid):
            return None
        try:
            return contents(self.workspace, self._place.limits, since_ns=since_ns)
        except FileNotFoundError:  # the thread was deleted meanwhile
            return Contents()

    def _outcome(self, cell: Cell, excess: Excess | None, left: Contents) -> Outcome:
        notes = [f"It was stopped: {excess.text}."] if excess else []
        if left.trouble:
            notes.append(left.advice)
        if cell.images_left_out:
            notes.append(f"{cell.images_left_out} images were too large or too many to show.")
        return Outcome(
            text=cell.output.text,
            lost_chars=cell.output.lost_chars,
            error=cell.error,
            stopped=excess.kind if excess else None,
            note=" ".join(notes) or None,
            state_lost=None if self.alive else "its process was ended",
            images=tuple(cell.images),
            files=tuple(left.made[:MAX_LISTED]),
        )

    async def _drain(self) -> None:
        """Read what the kernel's process itself says, so that it never waits for a reader."""
        assert self.process.stdout is not None  # noqa: S101 - spawn gives it a pipe
        while piece := await self.process.stdout.read(_COMPLAINT_BYTES):
            self._complaint = (self._complaint + piece)[-_COMPLAINT_BYTES:]


def _request(code: str, *, silent: bool = False) -> dict[str, object]:
    return {
        "code": code, "silent": silent, "store_history": not silent, "user_expressions": {},
        "allow_stdin": False, "stop_on_error": True,
    }  # fmt: skip


def _excess(
    exchange: asyncio.Task[None],
    watching: asyncio.Task[Excess],
    ended: asyncio.Task[int],
    timeout_s: float,
) -> Excess:
    if ended.done():
        return Excess("crash", "the Python process ended by itself, or was killed")
    if exchange.done():
        return Excess("output", str(exchange.exception()))
    if watching.done():
        return watching.result()
    return Excess("time", f"it was not done after {timeout_s:g} s")


async def _cancelled(*tasks: asyncio.Task[None] | asyncio.Task[int] | asyncio.Task[Excess]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _clear(wire: Wire, runtime: Path) -> None:
    wire.close()
    with contextlib.suppress(OSError):
        await asyncio.to_thread(shutil.rmtree, runtime)
