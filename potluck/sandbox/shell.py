"""One shell command in a sandbox of its own; what it leaves running ends with it."""

import asyncio
import codecs
import contextlib
from pathlib import Path

from potluck.errors import SandboxError
from potluck.sandbox.disk import MAX_LISTED, Contents, contents, file_time_ns
from potluck.sandbox.family import end
from potluck.sandbox.launch import Launch, Launcher, spawn
from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import Outcome, Tell
from potluck.sandbox.output import Output
from potluck.sandbox.watch import Excess, until_excess

_PIECE_BYTES = 65_536
_LAST_WORDS_S = 0.5


async def run_command(  # noqa: PLR0913 - most by name
    launcher: Launcher,
    workspace: Path,
    command: str,
    *,
    limits: Limits,
    timeout_s: float,
    tell: Tell | None = None,
) -> Outcome:
    """Run a command, and stop it when it takes too long or too much, or is cancelled."""
    launch = await asyncio.to_thread(_prepared, launcher, workspace, command)
    output = Output(limits.kept_chars, tell)
    since_ns = file_time_ns()
    process = await spawn(launch, stderr=asyncio.subprocess.STDOUT)
    reading = asyncio.create_task(_read(process, output))
    watching = asyncio.create_task(until_excess(process.pid, (workspace,), limits, output))
    ended = asyncio.create_task(process.wait())
    try:
        await asyncio.wait(
            {watching, ended}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        excess = _excess(watching, ended, timeout_s)
        if excess is None:
            await asyncio.wait({reading}, timeout=_LAST_WORDS_S)
    finally:
        await end(process)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await reading
        watching.cancel()
        ended.cancel()
        await asyncio.gather(watching, ended, return_exceptions=True)
    output.flush()
    left = await asyncio.to_thread(_left, workspace, limits, since_ns)
    notes = [f"It was stopped: {excess.text}."] if excess else []
    if left.trouble:
        notes.append(left.advice)
    _refuse_broken_walls(output.text, process.returncode)
    return Outcome(
        text=output.text,
        lost_chars=output.lost_chars,
        exit_code=None if excess else process.returncode,
        stopped=excess.kind if excess else None,
        note=" ".join(notes) or None,
        files=tuple(left.made[:MAX_LISTED]),
    )


def _prepared(launcher: Launcher, workspace: Path, command: str) -> Launch:
    launcher.prepare(workspace)
    return launcher.shell(workspace, command)


def _excess(
    watching: asyncio.Task[Excess], ended: asyncio.Task[int], timeout_s: float
) -> Excess | None:
    if ended.done():
        return None
    if watching.done():
        return watching.result()
    return Excess("time", f"it was not done after {timeout_s:g} s")


async def _read(process: asyncio.subprocess.Process, output: Output) -> None:
    assert process.stdout is not None  # noqa: S101 - spawn gives it a pipe
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    while piece := await process.stdout.read(_PIECE_BYTES):
        output.add(decoder.decode(piece))
    output.add(decoder.decode(b"", final=True))


def _left(workspace: Path, limits: Limits, since_ns: int) -> Contents:
    try:
        return contents(workspace, limits, since_ns=since_ns)
    except FileNotFoundError:  # the thread was deleted meanwhile
        return Contents()


def _refuse_broken_walls(text: str, exit_code: int | None) -> None:
    if exit_code == 1 and text.startswith("bwrap: "):
        raise SandboxError(
            f"The sandbox could not be made: {text.strip()[:300]}.", fix="Run `potluck check`."
        )
