"""A progress bar beside the output, for work that is done side by side."""

import asyncio
from collections.abc import Awaitable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


async def gather_with_bar[T](title: str, work: Sequence[Awaitable[T]], console: Console) -> list[T]:
    """The results in order. The bar shows on a terminal only, and is gone at the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    disabled = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disabled) as bar:
        task = bar.add_task(title, total=len(work))

        async def done(one: Awaitable[T]) -> T:
            result = await one
            bar.advance(task)
            return result

        return list(await asyncio.gather(*(done(one) for one in work)))
