"""Shell: one command line at a time, inside of the sandbox."""

import asyncio

from langchain_core.tools import tool
from langgraph.prebuilt import ToolRuntime

from potluck.sandbox.runner import current_runner
from tools.code_result import Block, live, told
from tools.workspace import current_workspace


@tool(parse_docstring=True)
async def shell(  # noqa: D417 - models do not see `runtime`
    command: str, runtime: ToolRuntime, timeout_s: float = 60.0
) -> str | list[Block]:
    """Run a shell command in the workspace's folder, and give what it prints and its exit code.

    Each call is a shell of its own: `cd` and variables do not last, and nothing runs on in the
    background. There is no network, no root, and nobody to answer a question.

    Args:
        command: The command line, for bash.
        timeout_s: Stop it after this many seconds.
    """
    workspace = current_workspace()
    outcome = await current_runner().shell(
        workspace.root, command, timeout_s=timeout_s, tell=live(runtime, "shell")
    )
    return await asyncio.to_thread(told, outcome, workspace)
