"""Running the simulator: in a thread for tests and benchmarks, or in front for users."""

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from potluck.errors import StartError
from potluck.simulator.app import create_app
from potluck.simulator.clock import Clock
from potluck.simulator.log import RequestLog
from potluck.simulator.meter import Meter
from potluck.simulator.scenario import Scenario, load_scenario
from potluck.simulator.script import Script
from potluck.simulator.wire import DROP_STATE

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0


class SimulatorServer:
    """The simulator on a free port of this machine, while the context lasts.

    Works as a plain and as an async context manager; `url` is what POTLUCK_SIMULATOR takes. With
    `limits`, each provider's free-tier limits hold, on a clock that runs at `speed`; a `scenario`
    brings script, clock and limits of its own.
    """

    def __init__(  # noqa: PLR0913 # keyword-only after the first, each with a default
        self,
        script: Script | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        limits: bool = False,
        scenario: Scenario | None = None,
    ) -> None:
        self.script = scenario.script if scenario else script or Script()
        self.log = RequestLog()
        self.clock = scenario.clock if scenario else Clock(speed=speed)
        self.meter = Meter(enforce=scenario.limits if scenario else limits)
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://host:port`, without a slash at the end."""
        return f"http://{self._host}:{self._port}"

    def provider_url(self, provider: str, path: str = "") -> str:
        """The base URL of one provider: `provider_url("groq", "/openai/v1")`."""
        return f"{self.url}/{provider}{path}"

    def start(self) -> None:
        """Listen; returns when connections are taken. Raises StartError when it cannot."""
        sock = _listen(self._host, self._port)
        self._port = sock.getsockname()[1]
        app = create_app(self.script, log=self.log, clock=self.clock, meter=self.meter)
        server = _Server(app)
        thread = threading.Thread(target=server.run, args=([sock],), name="simulator", daemon=True)
        thread.start()
        if not server.ready.wait(START_TIMEOUT_S):
            raise StartError("The simulator did not start in time.")
        self._server, self._thread = server, thread

    def stop(self) -> None:
        """Close every connection and the port."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join(STOP_TIMEOUT_S)
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


def run(
    host: str = "127.0.0.1",
    port: int = 9100,
    *,
    speed: float | None = None,
    scenario: str | Path | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted, with the free-tier limits in force.

    `scenario` is a file or the name of a ready one; `announce` is given the lines a user wants to
    read once the port is open. Raises StartError when the port is taken,
    ConfigError when the scenario cannot be used.
    """
    loaded = load_scenario(scenario, speed=speed) if scenario is not None else None
    clock = loaded.clock if loaded else Clock(speed=speed or 1.0)
    meter = Meter(enforce=loaded.limits if loaded else True)
    sock = _listen(host, port)
    if announce is not None:
        bound = sock.getsockname()[1]
        announce(f"Simulator at http://{host}:{bound} (POTLUCK_SIMULATOR takes this address).")
        announce(f"{loaded.name}: {loaded.about}" if loaded else "Free-tier limits are in force.")
    app = create_app(loaded.script if loaded else None, clock=clock, meter=meter)
    uvicorn.Server(_config(app)).run([sock])


class _Server(uvicorn.Server):
    """A server that stops at once, hanging answers included."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(_config(app))
        self.ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Ask the server's thread to end."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S / 2)
            for task in stuck:
                task.cancel()


def _config(app: Starlette) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.http_protocol_class = _droppable(config.http_protocol_class)
    return config


def _droppable(protocol: type[asyncio.Protocol]) -> type[asyncio.Protocol]:
    """The protocol, with a way for the app to close its connection in the midst of an answer."""

    def connection_made(self: asyncio.Protocol, transport: asyncio.BaseTransport) -> None:
        protocol.connection_made(self, transport)
        state = {**getattr(self, "app_state", {}), DROP_STATE: transport.close}
        setattr(self, "app_state", state)  # noqa: B010 # the base class is known at run time only

    return type("DroppableProtocol", (protocol,), {"connection_made": connection_made})


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise StartError(
            f"The simulator cannot listen on {host}:{port}: {error.strerror}.",
            fix="Stop what runs there, or give another --port.",
        ) from error
    return sock
