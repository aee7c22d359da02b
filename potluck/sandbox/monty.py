"""Python without libraries, in Monty's interpreter: where there are no walls to be had."""

import asyncio
import contextlib
from pathlib import Path

from pydantic_monty import (
    AsyncMonty,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    MountDir,
)

from potluck.errors import SandboxError
from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import Outcome, Tell
from potluck.sandbox.output import Output
from potluck.sandbox.runner import NoRunner

NOTE = (
    "There is no sandbox here, so this ran in a small Python without libraries: each call begins "
    "anew, and files can be read but not written; use write_file for that."
)


class MontyRunner:
    """Runs cells one by one; each begins anew. `reason` is why there is no sandbox."""

    def __init__(self, limits: Limits, reason: SandboxError) -> None:
        self._limits = limits
        self._refusing = NoRunner(reason)
        self._pool: AsyncMonty | None = None
        self._opening = asyncio.Lock()

    async def python(
        self, workspace: Path, code: str, *, timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:  # fmt: skip
        """Run a cell; what it left in variables is gone after it."""
        limits = self._limits
        seconds = limits.timeout_s(timeout_s)
        output = Output(limits.kept_chars, tell)
        pool = await self._opened()
        session = pool.checkout(
            limits={"max_memory": limits.memory_bytes, "max_feed_duration_secs": seconds}
        )
        error = note = None
        try:
            async with asyncio.timeout(seconds + limits.settle_timeout_s), session:
                with MountDir(
                    host_path=workspace, virtual_path="/workspace", mode="read-only"
                ) as mount:
                    value = await session.feed_run(
                        code, mount=mount, print_callback=lambda _, text: output.add(text)
                    )
                    output.add("" if value is None else f"{value!r}\n")
        except (MontyRuntimeError, MontySyntaxError) as failed:
            error = failed.display()
        except (TimeoutError, MontyCrashedError) as failed:
            note = f"It was stopped: {str(failed) or f'it was not done after {seconds:g} s'}."
        except MontyError as failed:
            error = str(failed)
        output.flush()
        return Outcome(
            text=output.text, lost_chars=output.lost_chars, error=error,
            stopped="time" if note else None, note=f"{note} {NOTE}" if note else NOTE,
        )  # fmt: skip

    async def shell(
        self, workspace: Path, command: str, *, timeout_s: float | None = None,
        tell: Tell | None = None,
    ) -> Outcome:  # fmt: skip
        """Refuse: a shell without walls is out of the question."""
        return await self._refusing.shell(workspace, command, timeout_s=timeout_s, tell=tell)

    async def forget(self, workspace: Path) -> None:
        """Nothing is kept between cells."""

    async def aclose(self) -> None:
        """End the interpreters."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with contextlib.suppress(MontyError):
                await pool.__aexit__(None, None, None)

    async def _opened(self) -> AsyncMonty:
        async with self._opening:
            if self._pool is None:
                pool = AsyncMonty(request_timeout=self._limits.max_timeout_s)
                await pool.__aenter__()
                self._pool = pool
            return self._pool
