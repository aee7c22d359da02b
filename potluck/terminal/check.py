"""`potluck check`: what works on this machine, what does not, and the fix."""

import asyncio
import platform
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg
from rich.console import Console
from rich.text import Text

from potluck.database import database_url, prepare_home
from potluck.errors import ConfigError, DatabaseError, PotluckError
from potluck.providers.availability import statuses
from potluck.providers.catalog import OFFLINE, Catalog, Provider, ProviderStatus
from potluck.providers.catalog_file import load_catalog
from potluck.settings import Settings
from potluck.terminal.running import Running, find

DEFAULT_PORT = 8123
CONNECT_TIMEOUT_S = 5

State = Literal["ok", "off", "bad"]
MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "off": ("·", "dim"),
    "bad": ("✗", "red"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that works, is off, or is bad: then with what to do about it."""

    name: str
    state: State
    text: str
    fix: str | None = None


def check() -> list[Fact]:
    """Look at everything Potluck needs; no model is asked."""
    facts = [Fact("Python", "ok", platform.python_version())]
    try:
        settings = Settings.load()
    except PotluckError as error:
        return [*facts, _bad("settings", error)]
    facts.append(_settings(settings))
    facts.extend(_configuration(settings))
    home = _home(settings)
    facts.append(home)
    running = find(settings)
    facts.append(_server(running))
    if home.state == "ok":
        facts.append(_database(settings, running))
    return facts


def works(facts: Sequence[Fact]) -> bool:
    """Whether everything that must work does."""
    return all(fact.state != "bad" for fact in facts)


def print_facts(facts: Sequence[Fact], console: Console) -> None:
    """Each fact on a line, with the fix, if any, on the next."""
    width = max(len(fact.name) for fact in facts)
    for fact in facts:
        mark, style = MARKS[fact.state]
        line = Text.assemble((f"{mark} ", style), (fact.name.ljust(width), "bold"), "  ", fact.text)
        console.print(line, soft_wrap=True)
        if fact.fix:
            console.print(Text(f"{' ' * (width + 4)}{fact.fix}", style="dim"), soft_wrap=True)


def _bad(name: str, error: PotluckError) -> Fact:
    return Fact(name, "bad", error.message, error.fix)


def _settings(settings: Settings) -> Fact:
    if settings.potluck_env_file.is_file():
        return Fact("settings", "ok", f"environment and {settings.potluck_env_file}")
    text = f"environment; no {settings.potluck_env_file}"
    return Fact("settings", "ok", text, "`potluck serve` makes it from .env.example.")


def _configuration(settings: Settings) -> Iterator[Fact]:
    folder = settings.potluck_config_dir
    try:
        catalog = load_catalog(folder)
    except ConfigError as error:
        place = f"{error.file}:{error.line}" if error.line is not None else str(error.file)
        yield Fact("configuration", "bad", f"{place}: {error.message}", error.fix)
        return
    yield Fact("configuration", "ok", f"{folder}: {len(catalog.models())} models")
    yield from _providers(catalog, settings)


def _providers(catalog: Catalog, settings: Settings) -> Iterator[Fact]:
    found = asyncio.run(statuses(catalog, settings))
    for status in found:
        yield _provider(status)
    if not any(status.on and status.provider.id != OFFLINE for status in found):
        yield Fact(
            "LLM",
            "off",
            "none is connected: the offline model answers basics",
            f"Put one of the keys above, free of charge, into {settings.potluck_env_file}.",
        )


def _provider(status: ProviderStatus) -> Fact:
    provider = status.provider
    if status.on:
        served = ", ".join(model.id for model in provider.models)
        return Fact(provider.id, "ok", f"{status.reason}: {served}")
    return Fact(provider.id, "off", status.reason, _way_in(provider))


def _way_in(provider: Provider) -> str | None:
    if provider.get_key_url is None or not provider.enabled:
        return None
    what = "Get a key" if provider.api_key_env else "Get it"
    return f"{what}: {provider.get_key_url}"


def _home(settings: Settings) -> Fact:
    try:
        prepare_home(settings.potluck_home)
    except PotluckError as error:
        return _bad("data folder", error)
    return Fact("data folder", "ok", str(settings.potluck_home))


def _server(running: Running | None) -> Fact:
    if running is not None:
        return Fact("server", "ok", f"{running.url}, process {running.pid}")
    if _in_use(DEFAULT_PORT):
        text = f"not running, and another program uses port {DEFAULT_PORT}"
        return Fact("server", "off", text, f"potluck serve --port {DEFAULT_PORT + 1}")
    return Fact("server", "off", "not running", "potluck serve")


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _database(settings: Settings, running: Running | None) -> Fact:
    if running is not None and settings.database_url is None:
        return Fact("database", "ok", "embedded PostgreSQL, in use by the server")
    kind = "embedded PostgreSQL" if settings.database_url is None else "DATABASE_URL"
    try:
        with database_url(settings) as url:
            version = _version(url)
    except (PotluckError, psycopg.Error) as error:
        message = error.message if isinstance(error, PotluckError) else str(error).strip()
        fix = error.fix if isinstance(error, PotluckError) else "Is DATABASE_URL right?"
        return Fact("database", "bad", message, fix)
    return Fact("database", "ok", f"{kind}, version {version}")


def _version(url: str) -> str:
    with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    if row is None:
        raise DatabaseError("PostgreSQL does not tell its version.")
    return str(row[0])
