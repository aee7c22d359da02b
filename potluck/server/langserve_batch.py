"""A batch of turns: a few at a time, and none is gone on with when one has failed."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list

from potluck.errors import PotluckError

AT_A_TIME = 4


class BatchError(PotluckError):
    """One turn of a batch failed; `reason` says why."""

    def __init__(self, place: int, reason: PotluckError) -> None:
        super().__init__(f"Input {place} of the batch (the first is 0): {reason}")
        self.reason = reason


async def run_batch[Input, Output](
    runnable: Runnable[Input, Output],
    inputs: Sequence[Input],
    config: RunnableConfig | Sequence[RunnableConfig] | None,
) -> list[Output]:
    """The outputs in the order of the inputs. Raises BatchError, and whatever a turn raises."""
    gate = asyncio.Semaphore(AT_A_TIME)

    async def run(place: int, given: Input, each: RunnableConfig) -> Output:
        async with gate:
            try:
                return await runnable.ainvoke(given, each)
            except PotluckError as error:
                raise BatchError(place, error) from error

    configs = get_config_list(config, len(inputs))
    try:
        async with asyncio.TaskGroup() as group:
            pairs: Any = zip(inputs, configs, strict=True)  # Any: mypy loses the types of zip here
            tasks = [group.create_task(run(i, *pair)) for i, pair in enumerate(pairs)]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
