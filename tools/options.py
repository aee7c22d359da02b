"""What tools are set up with: keys, addresses and limits, for the calls of one run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Database:
    """A database that the user lets the agent query: PostgreSQL by URL, or a SQLite file."""

    url: SecretStr | None = None
    file: Path | None = None
    write: bool = False


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """The options of all tools; each default works without any setting.

    `allowed_networks` are private addresses that pages may be fetched from all the same.
    """

    allowed_networks: tuple[str, ...] = ()
    allowed_ports: frozenset[int] = frozenset({80, 443, 8080, 8443})
    tavily_key: SecretStr | None = None
    tavily_url: str = "https://api.tavily.com"
    searxng_url: str | None = None
    geocoding_url: str = "https://geocoding-api.open-meteo.com"
    weather_url: str = "https://api.open-meteo.com"
    databases: Mapping[str, Database] = field(default_factory=dict)


_DEFAULTS = ToolOptions()
_current: ContextVar[ToolOptions] = ContextVar("potluck_tool_options", default=_DEFAULTS)


def current_options() -> ToolOptions:
    """The options of this run."""
    return _current.get()


@contextmanager
def use_options(options: ToolOptions) -> Iterator[None]:
    """Make `options` those of every tool called inside the block."""
    token = _current.set(options)
    try:
        yield
    finally:
        _current.reset(token)
