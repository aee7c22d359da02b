"""Where this process serves, the key by which it calls itself, and its name among servers."""

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from potluck.settings import know_secret


def _own_name() -> str:
    # Containers have one process id, and one that starts again may have the same name
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Address:
    """This server's own address, as reached from this machine."""

    url: str
    internal_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    name: str = field(default_factory=_own_name)


def reachable(host: str) -> str:
    """The name under which this machine reaches a server bound to `host`."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def server_file(home: Path) -> Path:
    """Where a running server writes down its address and process id, as JSON."""
    return home / "server.json"


@contextmanager
def written_down(home: Path, address: Address) -> Iterator[None]:
    """Inside the block the file of the data folder tells where this process serves."""
    file = server_file(home)
    file.write_text(json.dumps({"url": address.url, "pid": os.getpid()}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


_served: list[Address] = []


def announce(address: Address) -> None:
    """Say that this process now serves there."""
    know_secret(address.internal_key)
    _served[:] = [address]


def served() -> Address | None:
    """Where this process serves; None when another server (LangGraph's) carries our app."""
    return _served[0] if _served else None
