"""What failover costs: the time it adds to a call that needs none, and that a dead provider eats.

Nothing but the standard library is imported here: peers run it in environments of their own.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.failover_turns import Contender, Opener

QUESTION = "When is high tide?"
WARM_UP_CALLS = 10
SETTLE_S = 0.005

type Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Cost:
    ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Total:
    """What a number of calls took, and how many of them failed."""

    seconds: float
    failed: int


async def added_ms(bare: Ask, wrapped: Ask, calls: int) -> dict[str, float]:
    """Both medians, and the median of what a wrapped call took longer than the bare one beside it.

    The two are asked in turns, every other time in the other order, so that a machine which is
    busy for a while slows both. Processor time includes what is done after the answer, such as
    logging, which nobody waits for.
    """
    for _ in range(WARM_UP_CALLS):
        await bare()
        await wrapped()
    pairs: list[tuple[_Cost, _Cost]] = []
    for number in range(calls):
        if number % 2:
            second, first = await _cost(wrapped), await _cost(bare)
        else:
            first, second = await _cost(bare), await _cost(wrapped)
        pairs.append((first, second))
    return {
        "bare_p50_ms": round(statistics.median(first.ms for first, _ in pairs), 3),
        "with_it_p50_ms": round(statistics.median(second.ms for _, second in pairs), 3),
        "added_p50_ms": round(statistics.median(b.ms - a.ms for a, b in pairs), 3),
        "added_cpu_ms": round(statistics.median(b.cpu_ms - a.cpu_ms for a, b in pairs), 3),
    }


async def total(open_contender: Opener[Contender], calls: int) -> Total:
    """So many calls, one after the other, of a contender that knows nothing yet."""
    failed = 0
    async with open_contender() as contender:
        begun = time.perf_counter()
        for _ in range(calls):
            try:
                await contender.ask([contender.question(QUESTION)], streamed=False)
            except Exception:  # noqa: BLE001 # contenders may fail in any way: that is counted
                failed += 1
        return Total(time.perf_counter() - begun, failed)


async def _cost(ask: Ask) -> _Cost:
    begun, used = time.perf_counter(), time.process_time()
    await ask()
    ms = (time.perf_counter() - begun) * 1000
    # What is still done when the answer is there must not be charged to the next call
    await asyncio.sleep(SETTLE_S)
    return _Cost(ms, (time.process_time() - used) * 1000)
