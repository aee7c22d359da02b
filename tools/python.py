"""Python: cells in the thread's own session, inside of the sandbox."""

import asyncio

from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime

from potluck.sandbox.runner import current_runner
from tools.code_result import Block, live, told
from tools.workspace import current_workspace


@tool(parse_docstring=True)
async def python(  # noqa: D417 - models do not see `runtime`
    code: str, runtime: ToolRuntime[object, object], timeout_s: float = 60.0
) -> str | list[Block]:
    """Run Python as a notebook cell in the workspace's folder; variables and files are kept.

    Gives output, the last value and shown plots. No network, no installing.

    Args:
        code: The cell.
        timeout_s: Seconds to stop it after.
    """
    workspace = current_workspace()
    outcome = await current_runner().python(
        workspace.root, code, timeout_s=timeout_s, tell=live(runtime, "python")
    )
    return await asyncio.to_thread(told, outcome, workspace)
