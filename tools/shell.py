"""Shell: one command line at a time, inside of the sandbox."""

import asyncio

from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime

from potluck.sandbox.runner import current_runner
from tools.code_result import Block, live, told
from tools.workspace import current_workspace


@tool(parse_docstring=True)
async def shell(  # noqa: D417 - models do not see `runtime`
    command: str, runtime: ToolRuntime[object, object], timeout_s: float = 60.0
) -> str | list[Block]:
    """Run a bash command in the workspace's folder, each in a new shell. No network, no root.

    Args:
        command: The command line; it cannot ask for input.
        timeout_s: Seconds to stop it after.
    """
    workspace = current_workspace()
    outcome = await current_runner().shell(
        workspace.root, command, timeout_s=timeout_s, tell=live(runtime, "shell")
    )
    return await asyncio.to_thread(told, outcome, workspace)
