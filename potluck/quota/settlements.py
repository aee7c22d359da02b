"""What is written into the ledger beside the callers: it ends before the account's next call."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine

# Whoever comes next waits no longer than this for what is being written
_DONE_S = 5.0


class Settlements:
    """Tasks that go on when nobody waits for them any more; close it with `aclose`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_account: dict[str, set[asyncio.Task[None]]] = defaultdict(set)

    def start(self, account: str, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Do it beside the caller; `all_done` waits for it."""
        task = self.start_aside(work)
        running = self._by_account[account]
        running.add(task)
        task.add_done_callback(running.discard)
        return task

    def start_aside(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Do it beside everybody: only `aclose` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def all_done(self, account: str) -> None:
        """What has ended on the account is in the ledger, if that can be had soon."""
        running = self._by_account.get(account)
        if running:
            await asyncio.wait(set(running), timeout=_DONE_S)

    async def aclose(self) -> None:
        """Let what is being written end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_DONE_S)
