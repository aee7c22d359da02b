"""How long a run works: each node's time, without the time that it waits for quota."""

import functools
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, cast

from langgraph.runtime import Runtime

from graph.state import NOTHING_USED, Context, Elapsed, Usage
from nodes.budget import Budget

type Update = dict[str, object]


class Node[Given](Protocol):
    """A node as the graph calls it."""

    def __call__(self, state: Given, runtime: Runtime[Context]) -> Awaitable[Update]: ...  # noqa: D102 - see the class


_pauses: ContextVar[list[float] | None] = ContextVar("potluck_pauses", default=None)


def timed[Given](node: Node[Given], *, begins: bool = False) -> Node[Given]:
    """The node, whose update tells how long it worked.

    The one that `begins` a run begins its account, and tells what is left after it.
    """

    @functools.wraps(node)
    async def told(state: Given, runtime: Runtime[Context]) -> Update:
        began = _now_s()
        with _watch_pauses() as pauses:
            update = await node(state, runtime)
        ended = _now_s()
        # The system's clock may have been set back
        worked_s = max(0.0, ended - began - sum(pauses))
        elapsed = Elapsed(began=began, ended=ended, seconds=worked_s)
        if begins:
            elapsed["restart"] = True
            left = Budget.of(runtime.context).left(_usage(update), worked_s)
            update = {**update, "left": left}
        return {**update, "elapsed": elapsed}

    return told


def note_pause(seconds: float) -> None:
    """Say that the node which runs here has waited for so long, which is no work."""
    pauses = _pauses.get()
    if pauses is not None:
        pauses.append(seconds)


def _usage(update: Update) -> Usage:
    return cast("Usage", update.get("usage") or NOTHING_USED)


@contextmanager
def _watch_pauses() -> Iterator[list[float]]:
    pauses: list[float] = []
    token = _pauses.set(pauses)
    try:
        yield pauses
    finally:
        _pauses.reset(token)


def _now_s() -> float:
    return time.time()
