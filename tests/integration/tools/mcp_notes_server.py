"""An MCP server for the tests: over stdio, or with a port as its argument over HTTP."""

import os
import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("notes", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
notes: list[str] = []


@server.tool()
def add_note(text: str) -> str:
    """Keep a note."""
    notes.append(text)
    return f"{len(notes)} notes"


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("no ink")


@server.tool()
def die() -> str:
    """End the server."""
    os._exit(3)


@server.tool()
def environment(name: str) -> str:
    """A variable of the environment."""
    return os.environ.get(name, "[not set]")


server.run(transport="streamable-http" if len(sys.argv) > 1 else "stdio")
