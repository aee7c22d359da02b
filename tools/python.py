"""Python: cells in the thread's own session, inside of the sandbox."""

import asyncio

from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime

from potluck.sandbox.runner import current_runner
from tools.code_result import Block, live, told
from tools.workspace import current_workspace


@tool(parse_docstring=True)
async def python(  # noqa: D417 - models do not see `runtime`
    code: str, runtime: ToolRuntime, timeout_s: float = 60.0
) -> str | list[Block]:
    """Run Python code in this conversation's own session, as a cell of a notebook.

    Variables and imports are kept between calls. The current folder holds the workspace's files.
    The last expression's value, printed text and shown plots come back; files that you write stay.
    There is no network, and packages cannot be installed. Nothing runs on between calls.

    Args:
        code: The code of the cell.
        timeout_s: Stop it after this many seconds.
    """
    workspace = current_workspace()
    outcome = await current_runner().python(
        workspace.root, code, timeout_s=timeout_s, tell=live(runtime, "python")
    )
    return await asyncio.to_thread(told, outcome, workspace)
