"""An MCP server for the tests: over stdio, or with a port as its argument over HTTP."""

import os
import socket
import sys
from pathlib import Path

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


@server.tool()
def read(path: str) -> str:
    """A file."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return f"[{error.strerror}]"


@server.tool()
def write(path: str) -> str:
    """Make a file."""
    try:
        Path(path).write_text("written")
    except OSError as error:
        return f"[{error.strerror}]"
    return "done"


@server.tool()
def connect(port: int) -> str:
    """Reach a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        return f"[{error.strerror}]"
    return "connected"


server.run(transport="streamable-http" if len(sys.argv) > 1 else "stdio")
