"""One MCP server in use: a session that is kept open, and opened again when it has died."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog
from anyio import BrokenResourceError, ClosedResourceError
from langchain_core.tools import BaseTool

from potluck.errors import ToolError
from potluck.settings import hide_secrets
from tools.mcp_file import ServerForm

if TYPE_CHECKING:
    from langchain_mcp_adapters.sessions import Connection
    from mcp import ClientSession
    from mcp.types import CallToolResult, Tool

# JSON-RPC's code for it, as the MCP SDK gives it to calls under way
_CONNECTION_CLOSED = -32000
START_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 5.0

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start, with all of its environment."""

    argv: Sequence[str]
    env: Mapping[str, str]


Launch = Callable[[str, ServerForm], Command]
"""Makes a server's command, by its name, one that may be started."""


class McpServer:
    """One server's tools. `open` it before use, and close it with `aclose`.

    The session lives in a task of its own: it must be left by the task that entered it.
    """

    def __init__(self, name: str, form: ServerForm, launch: Launch) -> None:
        self.name = name
        self._form = form
        self._launch = launch
        self._session: ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._opening = asyncio.Lock()
        self._listed: Sequence[Tool] = ()

    async def open(self) -> list[BaseTool]:
        """Start the server and read its list of tools, as LangChain tools.

        Raises ToolError when it does not start, or does not answer in time.
        """
        from langchain_mcp_adapters.tools import (  # noqa: PLC0415 # only who has servers pays
            convert_mcp_tool_to_langchain_tool,
        )

        await self._open()
        session = cast("ClientSession", _Standing(self))
        return [
            _named(convert_mcp_tool_to_langchain_tool(session, tool), self.name)
            for tool in self._listed
            if self._form.tools is None or tool.name in self._form.tools
        ]

    async def call(self, name: str, arguments: Mapping[str, object]) -> "CallToolResult":
        """Call a tool. A session that has died is opened anew for the next call.

        Raises ToolError: for this call, nobody knows then whether the tool has run.
        """
        from mcp import McpError  # noqa: PLC0415 # only who has servers pays

        await self._open()
        session = self._session
        if session is None:
            raise ToolError(f"The MCP server {self.name} is not there.", may_pass=True)
        try:
            async with asyncio.timeout(self._form.timeout_s):
                return await session.call_tool(name, dict(arguments))
        except TimeoutError as error:
            message = f"It did not answer within {self._form.timeout_s:g} s."
            raise ToolError(message) from error
        except McpError as error:
            if error.error.code != _CONNECTION_CLOSED:
                raise ToolError(f"{self.name} refuses: {error}.") from error
            raise self._died(error) from error
        except (ClosedResourceError, BrokenResourceError) as error:
            raise self._died(error) from error

    def _died(self, error: Exception) -> ToolError:
        if self._task is not None:
            self._task.cancel()
        logger.warning("MCP server died", server=self.name, reason=str(error))
        return ToolError(f"The MCP server {self.name} died; the next call starts it again.")

    async def aclose(self) -> None:
        """End the session and the server's process."""
        self._closing.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=CLOSE_TIMEOUT_S)
            if not done:
                self._task.cancel()

    async def _open(self) -> None:
        async with self._opening:
            if self._task is not None and not self._task.done() and not self._task.cancelling():
                return
            self._ready.clear()
            self._task = asyncio.create_task(self._live(), name=f"mcp {self.name}")
            ready = asyncio.create_task(self._ready.wait())
            await asyncio.wait(
                {self._task, ready},
                timeout=START_TIMEOUT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            ready.cancel()
            if not self._ready.is_set():
                raise ToolError(self._why_not())

    def _why_not(self) -> str:
        task = self._task
        if task is None or not task.done():
            if task is not None:
                task.cancel()
            return f"The MCP server {self.name} did not start within {START_TIMEOUT_S:g} s."
        error = None if task.cancelled() else task.exception()
        return f"The MCP server {self.name} does not start: {_root(error)}."

    async def _live(self) -> None:
        """Hold the session open until the server dies, or is closed."""
        from langchain_mcp_adapters.sessions import (  # noqa: PLC0415 # only who has servers pays
            create_session,
        )

        try:
            async with create_session(self._connection()) as session:
                await session.initialize()
                self._listed = await _list_tools(session)
                self._session = session
                self._ready.set()
                await self._closing.wait()
        finally:
            self._session = None

    def _connection(self) -> "Connection":
        if self._form.url is not None:
            return {
                "transport": "streamable_http",
                "url": self._form.url,
                "headers": dict(self._form.headers),
            }
        command = self._launch(self.name, self._form)
        return {
            "transport": "stdio",
            "command": command.argv[0],
            "args": list(command.argv[1:]),
            "env": dict(command.env),
        }


class _Standing:
    """Takes the place of a session in a tool, whichever session is open at the time."""

    def __init__(self, server: McpServer) -> None:
        self._server = server

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, object],
        **_: Any,  # Any: callbacks that nobody gives
    ) -> "CallToolResult":
        return await self._server.call(name, arguments)


async def _list_tools(session: "ClientSession") -> list["Tool"]:
    found: list[Tool] = []
    cursor = None
    while True:
        page = await session.list_tools(cursor)
        found += page.tools
        cursor = page.nextCursor
        if not cursor:
            return found


def _named(tool: BaseTool, server: str) -> BaseTool:
    """The tool under a name that no other server's tool has."""
    return tool.model_copy(update={"name": f"mcp_{server}_{tool.name}"[:64]})


def _root(error: BaseException | None) -> str:
    """What went wrong at the bottom of the groups that task groups raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is None:
        return "it ended at once"
    # A server's address may hold its key
    return hide_secrets(str(error)) or type(error).__name__
