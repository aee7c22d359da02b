"""Where this process serves, and the key by which it calls itself."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from potluck.settings import know_secret


@dataclass(frozen=True, slots=True)
class Address:
    """This server's own address, as reached from this machine."""

    url: str
    internal_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


def server_file(home: Path) -> Path:
    """Where a running server writes down its address and process id, as JSON."""
    return home / "server.json"


_served: list[Address] = []


def announce(address: Address) -> None:
    """Say that this process now serves there."""
    know_secret(address.internal_key)
    _served[:] = [address]


def served() -> Address | None:
    """Where this process serves; None when another server (LangGraph's) carries our app."""
    return _served[0] if _served else None
