"""The ASGI app: every provider under its own name, and the simulator's own doors."""

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from potluck.simulator.clock import Clock
from potluck.simulator.control import Control
from potluck.simulator.log import RequestLog
from potluck.simulator.meter import Meter
from potluck.simulator.script import Script
from potluck.simulator.service import Service


def create_app(
    script: Script | None = None,
    *,
    log: RequestLog | None = None,
    clock: Clock | None = None,
    meter: Meter | None = None,
) -> Starlette:
    """An app that answers as each provider would, at `/<provider-id>/<the provider's path>`.

    Without a meter that enforces them, no free-tier limits hold. `app.state` carries the
    `script`, the `log` and the `clock` in use.
    """
    script = script or Script()
    log = log if log is not None else RequestLog()
    clock = clock or Clock()
    control = Control(script, log, clock)
    app = Starlette(
        routes=[
            Route("/_sim/health", control.health, methods=["GET"]),
            Route("/_sim/log", control.log, methods=["GET", "DELETE"]),
            Route("/_sim/rules", control.rules, methods=["GET", "POST", "DELETE"]),
            Route("/_sim/clock", control.clock, methods=["GET", "POST"]),
            Mount("/", Service(script, log, clock, meter or Meter(enforce=False))),
        ]
    )
    app.state.script, app.state.log, app.state.clock = script, log, clock
    return app
