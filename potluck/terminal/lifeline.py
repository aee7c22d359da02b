"""Whether the server is still there, while its answer is waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

LOOK_EVERY_S = 2.0
CONNECT_TIMEOUT_S = 5.0
_PORTS = {"https": 443}
GONE = "The server does not answer; waiting for it to come back. Ctrl-C leaves."
BACK = "The server is back."


@asynccontextmanager
async def watched(url: str, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Inside the block, `tell` is called when the server goes, and when it is there again."""
    watch = asyncio.create_task(_watch(url, tell))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _watch(url: str, tell: Callable[[str], None]) -> None:
    was_there = True
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        is_there = await _is_there(url)
        if is_there != was_there:
            tell(BACK if is_there else GONE)
        was_there = is_there


async def _is_there(url: str) -> bool:
    """Whether anything listens there: a server at work may take its time with its answers."""
    address = urlsplit(url)
    port = address.port or _PORTS.get(address.scheme, 80)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
