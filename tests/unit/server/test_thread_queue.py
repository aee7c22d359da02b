"""One turn at a time on each thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from potluck.server.thread_queue import ThreadBusyError, ThreadQueue


async def order_of(queue: ThreadQueue, *thread_ids: str | None) -> list[str]:
    """Start a turn on each thread at once; each notes its begin and its end."""
    seen: list[str] = []

    async def turn(number: int, thread_id: str | None) -> None:
        async with queue.turn(thread_id):
            seen.append(f"{number} begins")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(f"{number} ends")

    await asyncio.gather(*(turn(n, thread_id) for n, thread_id in enumerate(thread_ids)))
    return seen


async def test_turns_on_one_thread_come_in_order() -> None:
    seen = await order_of(ThreadQueue(), "a", "a", "a")
    assert seen == ["0 begins", "0 ends", "1 begins", "1 ends", "2 begins", "2 ends"]


@pytest.mark.parametrize("others", [("a", "b"), (None, None)])
async def test_other_threads_do_not_wait(others: tuple[str | None, str | None]) -> None:
    seen = await order_of(ThreadQueue(), *others)
    assert seen[:2] == ["0 begins", "1 begins"]


async def test_waiting_has_an_end() -> None:
    queue = ThreadQueue(max_wait_s=0.01)
    async with queue.turn("a"):
        with pytest.raises(ThreadBusyError, match="another thread"):
            async with queue.turn("a"):
                pytest.fail("two turns at once")


async def test_a_failed_or_cancelled_turn_frees_its_thread() -> None:
    queue = ThreadQueue(max_wait_s=0.1)
    with pytest.raises(ValueError, match="failed"):
        async with queue.turn("a"):
            raise ValueError("failed")
    async with queue.turn("a"):
        waiting = asyncio.create_task(order_of(queue, "a"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with queue.turn("a"):
        pass


async def test_a_shared_queue_keeps_each_turn_from_other_servers() -> None:
    kept: list[str] = []

    @asynccontextmanager
    async def elsewhere(thread_id: str, longest_s: float) -> AsyncIterator[None]:
        kept.append(f"{thread_id} for {longest_s:g} s at most")
        yield
        kept.append("free")

    queue = ThreadQueue(max_wait_s=3.0)
    queue.share(elsewhere)
    async with queue.turn("a"):
        assert kept == ["a for 3 s at most"]
    async with queue.turn(None):
        assert kept == ["a for 3 s at most", "free"]


async def test_a_thread_that_another_server_keeps_is_free_here_again() -> None:
    @asynccontextmanager
    async def elsewhere(_: str, longest_s: float) -> AsyncIterator[None]:
        raise ThreadBusyError.after(longest_s)
        yield

    queue = ThreadQueue(max_wait_s=0.1)
    queue.share(elsewhere)
    for _ in range(2):
        with pytest.raises(ThreadBusyError, match=r"within 0\.1 s"):
            async with queue.turn("a"):
                pass
