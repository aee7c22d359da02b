"""Streams whose end is orderly, however roughly their reader is stopped."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

_readers: set[asyncio.Task[None]] = set()


async def relay[T](
    stream: AsyncGenerator[T], *, is_last: Callable[[T], bool] | None = None
) -> AsyncGenerator[T]:
    """The items of `stream`, read by a task of its own, which closes it undisturbed.

    After the item that `is_last`, nobody waits for the stream's end; it comes in its own time.

    anyio cancels a task again and again until it ends; where LangChain puts a second task in
    between, httpx's closing is cut short by that, and the other side never learns of it.
    """
    items: asyncio.Queue[T | None] = asyncio.Queue()
    reader = asyncio.create_task(_read(stream, items))
    _readers.add(reader)
    reader.add_done_callback(_forget)
    ended = False
    try:
        while not ended and (item := await items.get()) is not None:
            ended = is_last is not None and is_last(item)
            yield item
        if not ended:
            await reader
    finally:
        if not ended:
            reader.cancel()


async def _read[T](stream: AsyncGenerator[T], items: asyncio.Queue[T | None]) -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                items.put_nowait(item)
    finally:
        items.put_nowait(None)


def _forget(reader: asyncio.Task[None]) -> None:
    _readers.discard(reader)
    if not reader.cancelled():
        # Whoever still listens got the error from `await`; nobody else is to be told.
        reader.exception()
