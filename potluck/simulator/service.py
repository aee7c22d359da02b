"""Answering provider requests: find the wire, check, ask the script, play the reply."""

from dataclasses import replace
from secrets import token_hex
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from potluck.simulator.clock import Clock
from potluck.simulator.dialect import (
    BAD_KEY,
    UNKNOWN_MODEL,
    Dialect,
    Incoming,
    Outgoing,
    Refusal,
    Target,
    WireError,
)
from potluck.simulator.faults import Facts, wire_error
from potluck.simulator.gemini_wire import GeminiWire
from potluck.simulator.json_body import json_object
from potluck.simulator.log import Exchange, RequestLog
from potluck.simulator.meter import Meter
from potluck.simulator.ollama_wire import OllamaWire
from potluck.simulator.openai_wire import OpenAIWire
from potluck.simulator.playback import Playback
from potluck.simulator.profile import profile_of
from potluck.simulator.reply import Fault, FaultKind, Usage
from potluck.simulator.request import ModelRequest
from potluck.simulator.script import Script
from potluck.simulator.wire import ClientGone, Wire

_DIALECTS: tuple[Dialect, ...] = (GeminiWire(), OllamaWire(), OpenAIWire())


class Service:
    """The ASGI app that plays the providers."""

    def __init__(self, script: Script, log: RequestLog, clock: Clock, meter: Meter) -> None:
        self._script = script
        self._log = log
        self._clock = clock
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wire = Wire(scope, receive, send, self._clock)
        incoming = _incoming(scope)
        exchange = Exchange(
            at=self._clock.now(),
            provider=incoming.provider,
            method=incoming.method,
            path=incoming.path,
            headers=incoming.headers,
        )
        self._log.add(exchange)
        try:
            exchange.body = await wire.body()
            await self._answer(wire, replace(incoming, body=exchange.body), exchange)
        except ClientGone:
            exchange.outcome = "client_gone"

    async def _answer(self, wire: Wire, incoming: Incoming, exchange: Exchange) -> None:
        dialect, target = _find(incoming)
        playback = Playback(wire, dialect, exchange, self._clock)
        try:
            if target is None:
                raise _unknown_url(incoming)
            self._check_key(dialect, incoming)
            if target.action == "chat":
                request = dialect.parse(incoming, target)
                exchange.request = request
                self._check_model(dialect, incoming, request.model)
                await self._admit(playback, incoming, request)
            else:
                await playback.send(self._listing(dialect, incoming, target))
        except Refusal as refusal:
            exchange.error = refusal.message
            await playback.refuse(dialect.error(incoming.profile, refusal))
        except _Failed as failed:
            await playback.refuse(failed.error)

    def _check_key(self, dialect: Dialect, incoming: Incoming) -> None:
        key = dialect.key(incoming)
        if key is None and incoming.profile.key_needed:
            raise self._failed(dialect, incoming, FaultKind.NO_KEY)
        if key == BAD_KEY:
            raise self._failed(dialect, incoming, FaultKind.AUTH)

    def _listing(self, dialect: Dialect, incoming: Incoming, target: Target) -> object:
        if target.action == "version":
            return {"version": "0.0.0-simulated"}
        if target.action == "models":
            return dialect.models(incoming.profile, self._clock.now())
        model = target.model or _named_in(incoming.body)
        self._check_model(dialect, incoming, model)
        return dialect.model(incoming.profile, model, self._clock.now())

    def _check_model(self, dialect: Dialect, incoming: Incoming, model: str) -> None:
        if model in (UNKNOWN_MODEL, *incoming.profile.refused_models):
            raise self._failed(dialect, incoming, FaultKind.MODEL_NOT_FOUND, model)
        if model in incoming.profile.retired_models:
            raise self._failed(dialect, incoming, FaultKind.MODEL_GONE, model)

    async def _admit(self, playback: Playback, incoming: Incoming, request: ModelRequest) -> None:
        admission = self._meter.admit(incoming.profile, request, self._clock.now())
        if admission.denial is not None:
            await playback.deny(incoming.profile, request.model, admission)
            return
        used: Usage | None = None
        try:
            answer = self._scripted(incoming, request)
            used = None if answer.reply.fault is not None else answer.reply.usage
            await playback.play(answer, admission)
        finally:
            admission.settle(used, self._clock.now())

    def _scripted(self, incoming: Incoming, request: ModelRequest) -> Outgoing:
        reply = self._script.reply_to(request, elapsed_s=self._clock.elapsed_s())
        if incoming.profile.checks_tool_calls and any(c.malformed for c in reply.tool_calls):
            reply = replace(reply, fault=reply.fault or Fault(FaultKind.TOOL_USE_FAILED))
        form = incoming.profile.history.tool_call_id
        ids = [_call_id(form) for _ in reply.tool_calls]
        return Outgoing(
            profile=incoming.profile,
            request=request,
            reply=reply.completed(input_tokens=request.input_tokens, ids=ids),
            id=token_hex(14),
            at=self._clock.now(),
        )

    def _failed(
        self, dialect: Dialect, incoming: Incoming, kind: FaultKind, model: str = ""
    ) -> "_Failed":
        facts = Facts(model=model, now=self._clock.now(), key=dialect.key(incoming) or "")
        return _Failed(wire_error(dialect.name, incoming.profile, Fault(kind), facts))


class _Failed(Exception):  # noqa: N818 # carries an answer out of the checks
    def __init__(self, error: WireError) -> None:
        super().__init__()
        self.error = error


def _incoming(scope: Scope) -> Incoming:
    provider, _, path = scope["path"].lstrip("/").partition("/")
    headers: dict[str, str] = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
    }
    return Incoming(
        provider=provider,
        profile=profile_of(provider),
        method=scope["method"],
        path=f"/{path}",
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
        headers=headers,
    )


def _find(incoming: Incoming) -> tuple[Dialect, Target | None]:
    for dialect in _DIALECTS:
        target = dialect.target(incoming.method, incoming.path)
        if target is not None:
            return dialect, target
    own = incoming.profile.dialect
    return next(dialect for dialect in _DIALECTS if dialect.name == own), None


def _named_in(body: bytes) -> str:
    name = json_object(body, "missing request body").get("model")
    if not isinstance(name, str) or not name:
        raise Refusal("model is required")
    return name


def _unknown_url(incoming: Incoming) -> Refusal:
    return Refusal(
        f"Unknown request URL: {incoming.method} {incoming.path}. Please check the URL for typos.",
        status=404,
        code="unknown_url",
    )


def _call_id(form: str) -> str:
    return token_hex(5)[:9] if form == "nine" else f"call_{token_hex(12)}"
