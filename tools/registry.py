"""The registry: every tool of the agent, its policy and its time limit; one line a tool."""

from collections.abc import Callable
from dataclasses import dataclass

from langchain_core.tools import BaseTool

from tools.calculator import calculator
from tools.clock import current_time
from tools.database import change_database, query_database
from tools.files import edit_file, list_files, read_file, search_files, write_file
from tools.notes import forget, remember
from tools.options import ToolOptions
from tools.python import python
from tools.shell import shell
from tools.tools_file import Policy
from tools.weather import get_weather
from tools.web import fetch_page, search_web


def _always(_: ToolOptions) -> bool:
    return True


def _may_write(options: ToolOptions) -> bool:
    return any(database.write for database in options.databases.values())


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool, whether it may run (`ask`: when a person agrees), and for how long.

    `retries`: how often a call that failed for a reason that may pass is made again; only for
    tools that change nothing. `is_repeatable`: a call that was cut off with its server may be made
    again elsewhere. `available`: whether it has what it needs, so that it is offered.
    config/tools.yaml may set another policy.
    """

    tool: BaseTool
    policy: Policy = "allow"
    timeout_s: float = 10.0
    retries: int = 0
    is_repeatable: bool = False
    available: Callable[[ToolOptions], bool] = _always


REGISTRY: tuple[ToolSpec, ...] = (
    ToolSpec(calculator, is_repeatable=True),
    ToolSpec(current_time, is_repeatable=True),
    ToolSpec(list_files, is_repeatable=True),
    ToolSpec(read_file, is_repeatable=True),
    ToolSpec(write_file),
    ToolSpec(edit_file),
    ToolSpec(search_files, timeout_s=30.0, is_repeatable=True),
    # Their own limits come first: POTLUCK_SANDBOX_TIMEOUT_S, at most an hour, and a cold start.
    ToolSpec(python, timeout_s=3_700.0),
    ToolSpec(shell, timeout_s=3_700.0),
    ToolSpec(search_web, timeout_s=30.0, retries=1, is_repeatable=True),
    ToolSpec(fetch_page, timeout_s=40.0, retries=1, is_repeatable=True),
    ToolSpec(get_weather, timeout_s=30.0, retries=1, is_repeatable=True),
    ToolSpec(query_database, timeout_s=30.0, is_repeatable=True),
    ToolSpec(remember, retries=1, is_repeatable=True),
    ToolSpec(forget, retries=1, is_repeatable=True),
    ToolSpec(change_database, policy="ask", timeout_s=30.0, available=_may_write),
)
