"""The registry: every tool of the agent, its policy and its time limit; one line a tool."""

from dataclasses import dataclass

from langchain_core.tools import BaseTool

from tools.calculator import calculator
from tools.clock import current_time
from tools.files import edit_file, list_files, read_file, search_files, write_file
from tools.policies import Policy


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool, whether it may run (`ask`: when a person agrees), and for how long.

    `retries`: how often a call that failed for a reason that may pass is made again; only for
    tools that change nothing. config/tools.yaml may set another policy.
    """

    tool: BaseTool
    policy: Policy = "allow"
    timeout_s: float = 10.0
    retries: int = 0


REGISTRY: tuple[ToolSpec, ...] = (
    ToolSpec(calculator),
    ToolSpec(current_time),
    ToolSpec(list_files),
    ToolSpec(read_file),
    ToolSpec(write_file),
    ToolSpec(edit_file),
    ToolSpec(search_files, timeout_s=30.0),
)


def tools() -> list[BaseTool]:
    """The tools to bind to a model: all but the denied ones."""
    return [entry.tool for entry in REGISTRY if entry.policy != "deny"]


def spec(name: str) -> ToolSpec | None:
    """The registered tool of that name, or None."""
    return next((entry for entry in REGISTRY if entry.tool.name == name), None)
