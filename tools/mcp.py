"""The tools of all MCP servers in config/mcp.json."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import structlog

from potluck.errors import ToolError
from tools.mcp_file import ServerForm
from tools.mcp_server import Launch, McpServer
from tools.registry import ToolSpec

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class McpServers:
    """The servers that run, their tools, and why others do not run. Close it with `aclose`."""

    specs: tuple[ToolSpec, ...] = ()
    failures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _servers: tuple[McpServer, ...] = ()

    @classmethod
    async def open(cls, forms: Mapping[str, ServerForm], launch: Launch) -> "McpServers":
        """Start all servers side by side; one that does not start leaves the others be.

        `launch` makes a local command one that runs in the sandbox.
        """
        servers = [McpServer(name, form, launch) for name, form in forms.items()]
        opened = await asyncio.gather(*map(_open, servers, forms.values()))
        failures = {
            server.name: why
            for server, why in zip(servers, opened, strict=True)
            if isinstance(why, str)
        }
        for name, why in failures.items():
            logger.warning("MCP server is off", server=name, reason=why)
        specs = tuple(spec for found in opened if not isinstance(found, str) for spec in found)
        return cls(specs, failures, tuple(servers))

    async def aclose(self) -> None:
        """End every session."""
        await asyncio.gather(*(server.aclose() for server in self._servers))


async def _open(server: McpServer, form: ServerForm) -> list[ToolSpec] | str:
    """The server's tools; or why there are none."""
    try:
        tools = await server.open()
    except ToolError as error:
        await server.aclose()
        return str(error)
    # What a foreign program does, nobody here knows: unless tools.yaml says so, a person is asked.
    return [ToolSpec(tool, policy="ask", timeout_s=form.timeout_s) for tool in tools]
