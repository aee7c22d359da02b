"""`potluck serve`: PostgreSQL, the LangGraph API and our doors in one process."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import filelock
import redis
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from potluck import engine
from potluck.backup import clear_after_restores
from potluck.database import database_url, prepare_home
from potluck.errors import StartError
from potluck.providers.catalog_file import load_catalog
from potluck.server.address import Address, announce, reachable, server_file, written_down
from potluck.server.auth_keys import Keyring
from potluck.server.auth_shared_rates import rates_of
from potluck.server.draining import Draining
from potluck.server.guard import Guard, is_loopback
from potluck.server.lease_terms import AEGRA_SETTINGS
from potluck.server.logs import POLLED, set_up_logs
from potluck.server.presence import shown
from potluck.server.request_count import RequestCount
from potluck.server.request_ids import take_ids
from potluck.server.run_log import take_expected_ends
from potluck.server.welcome import Welcome
from potluck.settings import PROJECT_DIR, Settings, create_env_file, hide_secrets
from tools.mcp_file import read_mcp_file
from tools.toolbox import load_toolbox

DEFAULT_PORT = 8123
HIGHEST_PORT = 65535
SHUTDOWN_TIMEOUT_S = 10
KEEP_ALIVE_S = 75
CONNECT_TIMEOUT_S = 5
READER_TIMEOUT_S = 120
"""How long a client may take nothing of what is sent to it before its connection is cut."""
SHORTEST_KEY_CHARS = 16
"""Shorter keys are warned of where others can reach the server."""
YOUNG_OBJECTS = 10_000
"""How many new objects there are before those that nobody uses are looked for."""

logger = logging.getLogger(__name__)


def serve(settings: Settings, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> None:
    """Serve until SIGINT or SIGTERM; prints where each door is once requests are answered.

    Raises StartError, ConfigError or DatabaseError, each with the fix, when it cannot start.
    """
    set_up_logs(settings)
    # uvicorn raises the signal again when it has shut down; the rest must end in order, too.
    signal.signal(signal.SIGTERM, _end)
    load_catalog(settings.potluck_config_dir)
    load_toolbox(settings)
    read_mcp_file(settings.potluck_config_dir, settings.key)
    _refuse_open_door(host, settings)
    prepare_home(settings.potluck_home)
    env_file_is_new = create_env_file()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_only_server(settings.potluck_home))
        listener = stack.enter_context(contextlib.closing(_listen(host, port)))
        address = Address(f"http://{reachable(host)}:{listener.getsockname()[1]}")
        database = stack.enter_context(database_url(settings))
        if settings.database_url is None:
            clear_after_restores(settings.potluck_home, database)
        shares = settings.redis_url is not None
        stack.enter_context(shown(database, address.name, shares=shares))
        stack.enter_context(written_down(settings.potluck_home, address))
        announce(address)
        api = _api(settings, database, address)
        guard = Guard(
            api,
            keyring=Keyring.of(settings, address.internal_key),
            rates=rates_of(settings),
            origins=settings.potluck_cors_origins,
        )
        app: ASGIApp = RequestCount(guard, api.state.metrics)
        if shares:
            # Others answer while this one stops
            app = Draining(app, address.internal_key)
        _run(app, listener, settings, Welcome(settings, address, env_file_is_new))


def _end(*_: object) -> NoReturn:
    raise SystemExit(0)


def _refuse_open_door(host: str, settings: Settings) -> None:
    if is_loopback(host):
        return
    if not settings.potluck_api_keys:
        raise StartError(
            f"Serving on {host} lets others on the network use your keys and files.",
            fix="Set POTLUCK_API_KEYS=name:secret in .env, or use --host 127.0.0.1.",
        )
    weak = [key for key in settings.api_keys if len(key.secret) < SHORTEST_KEY_CHARS]
    if weak:
        logger.warning(
            "These keys of POTLUCK_API_KEYS are short enough to be guessed: %s. Use at least %d "
            "characters by chance, such as `openssl rand -hex 24` prints.",
            ", ".join(key.name or "one without a name" for key in weak),
            SHORTEST_KEY_CHARS,
        )


@contextlib.contextmanager
def _only_server(home: Path) -> Iterator[None]:
    lock = filelock.FileLock(home / "server.lock", blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise StartError(
            f"Another Potluck server uses the data folder {home}{_where_it_is(home)}.",
            fix="Use that one, or set POTLUCK_HOME to another folder.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _where_it_is(home: Path) -> str:
    try:
        other = json.loads(server_file(home).read_text())
        return f" (process {other['pid']}, {other['url']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Whoever connects has this from the listener
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READER_TIMEOUT_S * 1000)
    try:
        listener.bind((host, port))
        # Listening at once: a bound socket alone would not keep a second server out.
        listener.listen(128)
    except socket.gaierror as error:
        listener.close()
        raise StartError(
            f"The address {host!r} is not known here: {error.strerror}.",
            fix="Use --host 127.0.0.1, or an address of this machine.",
        ) from error
    except OSError as error:
        listener.close()
        another = port + 1 if port < HIGHEST_PORT else 0
        raise StartError(
            f"Port {port} on {host} cannot be used: {error.strerror}.",
            fix=f"Stop what uses it, or choose another: potluck serve --port {another}.",
        ) from error
    return listener


def _api(settings: Settings, database: str, address: Address) -> Starlette:
    """Aegra's app with ours inside. It reads its settings from the environment at import."""
    redis_url = _reached_redis(settings)
    os.environ.update(
        {
            "DATABASE_URL": database,
            "AEGRA_CONFIG": str(PROJECT_DIR / "langgraph.json"),
            "AUTH_TYPE": "custom",
            "SERVER_URL": address.url,
            "LOG_LEVEL": settings.potluck_log_level.upper(),
            # What its own tracing may quote, if OTEL_TARGETS switches it on
            "OPENINFERENCE_HIDE_INPUTS": str(not settings.potluck_trace_contents).lower(),
            "OPENINFERENCE_HIDE_OUTPUTS": str(not settings.potluck_trace_contents).lower(),
            "LOG_VERBOSITY": "standard",
            "LOG_EXCLUDE_PATHS": ",".join(POLLED),
            "REDIS_BROKER_ENABLED": str(redis_url is not None).lower(),
            **({"REDIS_URL": redis_url, **AEGRA_SETTINGS} if redis_url else {}),
        }
    )
    from aegra_api.utils import setup_logging as aegra_logs  # noqa: PLC0415 - as below

    # Importing its app would set up logs of its own
    aegra_logs.setup_logging = partial(set_up_logs, settings)
    from aegra_api.core.auth_middleware import get_auth_instance  # noqa: PLC0415 - as below
    from aegra_api.main import app  # noqa: PLC0415 - only now does it find its settings

    if get_auth_instance() is None:
        # Aegra would only log it, and show everything to everybody.
        raise StartError(
            "The server cannot tell users apart: `auth` of langgraph.json was not loaded.",
            fix="Set it to potluck.server.auth:auth, and see the log above.",
        )
    made: Starlette = app
    take_ids(app)
    take_expected_ends(app)
    allow_origins(app, settings.potluck_cors_origins)

    if redis_url is not None:
        from potluck.server.replicas import work_together  # noqa: PLC0415 - as above

        work_together()
    else:
        # Its warning says that nothing is recovered without Redis; here we do that ourselves.
        logging.getLogger("aegra_api.main").setLevel(logging.ERROR)
    return made


def allow_origins(app: Starlette, origins: Sequence[str]) -> None:
    """Let pages of these sites read the answers of Aegra's app, beside pages of this machine."""
    for middleware in app.user_middleware:
        if middleware.cls is CORSMiddleware:  # type: ignore[comparison-overlap] # a class is a factory, too
            middleware.kwargs["allow_origins"] = list(origins)
            # A page of the internet that is let in may ask a server at home
            middleware.kwargs["allow_private_network"] = True


def _reached_redis(settings: Settings) -> str | None:
    if settings.redis_url is None:
        return None
    url = settings.redis_url.get_secret_value()
    try:
        with redis.from_url(url, socket_connect_timeout=CONNECT_TIMEOUT_S) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise StartError(
            f"The Redis of REDIS_URL does not answer: {hide_secrets(str(error))}.",
            fix="Check REDIS_URL; leave it out to run without replicas.",
        ) from error
    return url


def _run(app: ASGIApp, listener: socket.socket, settings: Settings, welcome: Welcome) -> None:
    config = uvicorn.Config(
        app,
        # The other one, which may be installed, takes headers without end
        http="h11",
        log_level=settings.potluck_log_level,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        # It would believe whoever is on this machine
        forwarded_allow_ips=settings.forwarded_allow_ips or "",
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
    )
    server = _Server(config, welcome, app if isinstance(app, Draining) else None)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[listener]), loop_factory=config.get_loop_factory())
    if not server.started:
        raise StartError(
            "The server did not start.", fix="Read the errors above; `potluck check` helps."
        )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, welcome: Welcome, draining: Draining | None) -> None:
        super().__init__(config)
        self._welcome = welcome
        self._draining = draining

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop: at once when told so twice, else when what was asked is answered."""
        self._signal = sig
        if self._draining is None or self._draining.has_begun:
            super().handle_exit(sig, frame)
            return
        self._draining.begin()
        from potluck.server.replicas import take_no_more  # noqa: PLC0415 - Aegra, as above

        take_no_more()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop now."""
        if self._draining is not None and self._draining.is_over and not self.should_exit:
            super().handle_exit(self._signal, None)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._welcome.print((await engine.current()).statuses)
            # Looking through all that was loaded would stop every answer for a while
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS)
