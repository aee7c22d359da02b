"""The simulator's own doors under /_sim: health, log, rules, clock."""

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from potluck.simulator.clock import Clock
from potluck.simulator.forms import Form, Seconds, explain
from potluck.simulator.log import RequestLog
from potluck.simulator.profile import provider_ids
from potluck.simulator.rule_form import RuleForm
from potluck.simulator.script import Script
from potluck.simulator.trouble_form import TroubleForm


class _Changes(Form):
    """Rules and troubles to add, or with `replace` to have instead of those that are there."""

    rules: tuple[RuleForm, ...] = ()
    troubles: tuple[TroubleForm, ...] = ()
    replace: bool = False


class _ClockForm(Form):
    """How far to move the clock on."""

    advance_s: Seconds


class Control:
    """What a test or a user may see and change over HTTP."""

    def __init__(self, script: Script, log: RequestLog, clock: Clock) -> None:
        self._script = script
        self._log = log
        self._clock = clock

    async def health(self, request: Request) -> Response:
        """Say that it runs, and which providers it plays by name."""
        del request
        return JSONResponse({"status": "ok", "providers": provider_ids()})

    async def log(self, request: Request) -> Response:
        """Show the log, of one `?provider=` if given; or empty it."""
        if request.method == "DELETE":
            self._log.clear()
            return Response(status_code=204)
        found = self._log.exchanges(request.query_params.get("provider"))
        return JSONResponse({"exchanges": [one.as_json() for one in found]})

    async def rules(self, request: Request) -> Response:
        """Add rules and troubles, show how often each was used, or forget them all."""
        if request.method == "DELETE":
            self._script.clear()
            return Response(status_code=204)
        if request.method == "POST":
            try:
                form = _Changes.model_validate_json(await request.body())
            except ValidationError as error:
                return _bad(error)
            if form.replace:
                self._script.clear()
            self._script.add(*(rule.rule() for rule in form.rules))
            self._script.trouble(*(one.trouble(self._clock.start) for one in form.troubles))
        shown = {
            "rules": [{"used": one.used, "times": one.times} for one in self._script.rules],
            "troubles": [{"used": one.used, "times": one.times} for one in self._script.troubles],
        }
        return JSONResponse(shown, status_code=201 if request.method == "POST" else 200)

    async def clock(self, request: Request) -> Response:
        """Tell the simulated time; POST `{"advance_s": 3600}` moves it on."""
        if request.method == "POST":
            try:
                form = _ClockForm.model_validate_json(await request.body())
            except ValidationError as error:
                return _bad(error)
            self._clock.advance(form.advance_s)
        return JSONResponse({"now": self._clock.now().isoformat(), "speed": self._clock.speed})


def _bad(error: ValidationError) -> Response:
    return JSONResponse({"error": explain(error)}, status_code=400)
