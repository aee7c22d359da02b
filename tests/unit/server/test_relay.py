"""Streams are closed in order, however their reader is stopped."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from potluck.server.relay import relay


async def test_passes_items_on_and_ends() -> None:
    async def three() -> AsyncGenerator[int]:
        for number in range(3):
            yield number

    assert [item async for item in relay(three())] == [0, 1, 2]


async def test_after_the_last_item_the_stream_ends_in_its_own_time() -> None:
    reader_has_gone, ended = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> AsyncGenerator[int]:
        yield 1
        yield 2
        await reader_has_gone.wait()
        ended.set()

    stream = relay(slow_to_end(), is_last=lambda item: item == 2)
    assert [item async for item in stream] == [1, 2]
    assert not ended.is_set()
    reader_has_gone.set()
    await asyncio.wait_for(ended.wait(), 1)


async def test_passes_on_the_error_after_the_items() -> None:
    async def broken() -> AsyncGenerator[int]:
        yield 1
        raise ValueError("broken")

    stream = relay(broken())
    assert await anext(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)


async def test_a_reader_cancelled_again_and_again_still_lets_the_stream_close() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0.001)
        finally:
            # What httpx does: closing takes a few rounds of the event loop.
            for _ in range(5):
                await asyncio.sleep(0)
            closed.set()

    async def read() -> None:
        stream = relay(endless())
        try:
            async for _ in stream:
                pass
        finally:
            await stream.aclose()

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    while not reader.done():
        reader.cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(closed.wait(), 1)
