"""Streams whose end is orderly, however roughly their reader is stopped."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

_readers: set[asyncio.Task[None]] = set()


async def relay[T](stream: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The items of `stream`, read by a task of its own, which closes it undisturbed.

    anyio cancels a task again and again until it ends; where LangChain puts a second task in
    between, httpx's closing is cut short by that, and the other side never learns of it.
    """
    items: asyncio.Queue[T | None] = asyncio.Queue()
    reader = asyncio.create_task(_read(stream, items))
    _readers.add(reader)
    reader.add_done_callback(_forget)
    try:
        while (item := await items.get()) is not None:
            yield item
        await reader
    finally:
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
