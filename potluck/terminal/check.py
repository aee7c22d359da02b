"""`potluck check`: what works on this machine, what does not, and the fix."""

import asyncio
import platform
import socket
from collections.abc import Iterator, Mapping

import psycopg
from rich.console import Console

from potluck.database import database_url, prepare_home
from potluck.errors import ConfigError, DatabaseError, PotluckError
from potluck.providers.catalog_file import load_catalog
from potluck.sandbox.probe import probe
from potluck.settings import Settings
from potluck.terminal.facts import Fact
from potluck.terminal.provider_facts import find_provider_facts
from potluck.terminal.running import Running, find
from tools.mcp import McpServers
from tools.mcp_file import ServerForm, read_mcp_file
from tools.mcp_launch import launch_in
from tools.toolbox import load_toolbox

DEFAULT_PORT = 8123
CONNECT_TIMEOUT_S = 5


def check(*, calls: bool = True, console: Console | None = None) -> list[Fact]:
    """Look at everything Potluck needs; with `calls`, each provider that is on gets a tiny one.

    Progress shows on `console`, by default on standard error.
    """
    console = console or Console(stderr=True)
    facts = [Fact("Python", "ok", platform.python_version())]
    try:
        settings = Settings.load()
    except PotluckError as error:
        return [*facts, _bad("settings", error)]
    facts.append(_settings(settings))
    facts.extend(_configuration(settings, calls=calls, console=console))
    with console.status("Trying the sandbox"):
        facts.append(_sandbox(settings))
    with console.status("Trying the tools"):
        facts.extend(_tools(settings))
    home = _home(settings)
    facts.append(home)
    running = None
    try:
        running = find(settings)
        facts.append(_server(running))
    except PotluckError as error:
        facts.append(_bad("server", error))
    if home.state == "ok":
        with console.status("Trying the database"):
            facts.append(_database(settings, running))
    return facts


def _bad(name: str, error: PotluckError) -> Fact:
    return Fact(name, "bad", error.message, error.fix)


def _settings(settings: Settings) -> Fact:
    if settings.potluck_env_file.is_file():
        return Fact("settings", "ok", f"environment and {settings.potluck_env_file}")
    text = f"environment; no {settings.potluck_env_file}"
    return Fact("settings", "ok", text, "`potluck serve` makes it from .env.example.")


def _configuration(settings: Settings, *, calls: bool, console: Console) -> Iterator[Fact]:
    folder = settings.potluck_config_dir
    try:
        catalog = load_catalog(folder)
    except ConfigError as error:
        place = f"{error.file}:{error.line}" if error.line is not None else str(error.file)
        yield Fact("configuration", "bad", f"{place}: {error.message}", error.fix)
        return
    yield Fact("configuration", "ok", f"{folder}: {len(catalog.models())} models")
    yield from asyncio.run(find_provider_facts(catalog, settings, calls=calls, console=console))


def _sandbox(settings: Settings) -> Fact:
    found = asyncio.run(probe(settings))
    return Fact("sandbox", found.state, found.text, found.fix)


def _tools(settings: Settings) -> Iterator[Fact]:
    """The tools' configuration; each MCP server is started for a moment."""
    try:
        toolbox = load_toolbox(settings)
        forms = read_mcp_file(settings.potluck_config_dir, settings.key)
    except ConfigError as error:
        place = f"{error.file}:{error.line}" if error.line is not None else str(error.file)
        yield Fact("tools", "bad", f"{place}: {error.message}", error.fix)
        return
    yield Fact("tools", "ok", ", ".join(tool.name for tool in toolbox.offered))
    found, failures = asyncio.run(_mcp_tools(forms, settings))
    for name in forms:
        if name in failures:
            yield Fact(f"MCP {name}", "bad", failures[name], "Mend it in config/mcp.json.")
        else:
            names = [tool for tool in found if tool.startswith(f"mcp_{name}_")]
            yield Fact(f"MCP {name}", "ok", f"{len(names)} tools")


async def _mcp_tools(
    forms: Mapping[str, ServerForm], settings: Settings
) -> tuple[list[str], Mapping[str, str]]:
    servers = await McpServers.open(forms, launch_in(settings))
    await servers.aclose()
    return [spec.tool.name for spec in servers.specs], servers.failures


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
