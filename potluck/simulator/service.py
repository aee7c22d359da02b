"""Answering provider requests: read, check, ask the script, write; plain or streamed."""

import json
from collections.abc import Mapping
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
from potluck.simulator.faults import Facts, as_bytes, wire_error
from potluck.simulator.gemini_wire import GeminiWire
from potluck.simulator.log import Exchange, RequestLog
from potluck.simulator.ollama_wire import OllamaWire
from potluck.simulator.openai_wire import OpenAIWire
from potluck.simulator.profile import profile_of
from potluck.simulator.reply import Fault, FaultKind
from potluck.simulator.request import ModelRequest
from potluck.simulator.script import Script
from potluck.simulator.wire import ClientGone, Wire

JSON_TYPE = "application/json"
# longer than any client waits; a provider that hangs must not hold a connection for ever
HANG_S = 3600.0

_DIALECTS: tuple[Dialect, ...] = (GeminiWire(), OllamaWire(), OpenAIWire())


class Service:
    """The ASGI app that plays the providers."""

    def __init__(self, script: Script, log: RequestLog, clock: Clock) -> None:
        self._script = script
        self._log = log
        self._clock = clock

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
            body = await wire.body()
            exchange.body = body
            await self._answer(wire, replace(incoming, body=body), exchange)
        except ClientGone:
            exchange.outcome = "client_gone"

    async def _answer(self, wire: Wire, incoming: Incoming, exchange: Exchange) -> None:
        dialect, target = _find(incoming)
        try:
            if target is None:
                raise Refusal(
                    f"Unknown request URL: {incoming.method} {incoming.path}. Please "
                    "check the URL for typos.",
                    status=404,
                    code="unknown_url",
                )
            self._check_key(dialect, incoming)
            if target.action == "chat":
                request = dialect.parse(incoming, target)
                exchange.request = request
                await self._reply(wire, dialect, incoming, request, exchange)
                return
            body = self._listing(dialect, incoming, target)
        except Refusal as refusal:
            exchange.error = refusal.message
            await _send_error(wire, dialect.error(incoming.profile, refusal), exchange)
        except _Failed as failed:
            await _send_error(wire, failed.error, exchange)
        else:
            await _send_json(wire, body, exchange, {})

    def _check_key(self, dialect: Dialect, incoming: Incoming) -> None:
        key = dialect.key(incoming)
        missing = key is None and incoming.profile.key_needed
        if missing or key == BAD_KEY:
            fault = Fault(FaultKind.NO_KEY if missing else FaultKind.AUTH)
            facts = Facts(model="", now=self._clock.now(), key=key or "")
            raise _Failed(wire_error(dialect.name, incoming.profile, fault, facts))

    def _listing(self, dialect: Dialect, incoming: Incoming, target: Target) -> object:
        if target.action == "models":
            return dialect.models(incoming.profile, self._clock.now())
        model = target.model or ""
        if model == UNKNOWN_MODEL:
            raise self._no_such_model(dialect, incoming, model)
        return dialect.model(incoming.profile, model, self._clock.now())

    def _no_such_model(self, dialect: Dialect, incoming: Incoming, model: str) -> "_Failed":
        fault = Fault(FaultKind.MODEL_NOT_FOUND)
        return _Failed(wire_error(dialect.name, incoming.profile, fault, self._facts(model)))

    def _facts(self, model: str) -> Facts:
        return Facts(model=model, now=self._clock.now())

    async def _reply(
        self,
        wire: Wire,
        dialect: Dialect,
        incoming: Incoming,
        request: ModelRequest,
        exchange: Exchange,
    ) -> None:
        if request.model == UNKNOWN_MODEL:
            raise self._no_such_model(dialect, incoming, request.model)
        answer = self._scripted(incoming, request)
        reply = answer.reply
        exchange.reply = reply
        await wire.pause(reply.delay.first_byte_s)
        if reply.fault is not None and reply.cut_after is None:
            await self._fail(wire, dialect, answer, reply.fault, exchange)
        elif request.stream:
            await self._stream(wire, dialect, answer, exchange)
        else:
            await self._send_whole(wire, dialect, answer, exchange)

    def _scripted(self, incoming: Incoming, request: ModelRequest) -> Outgoing:
        reply = self._script.reply_to(request)
        form = incoming.profile.tool_call_id_form
        ids = [_call_id(form) for _ in reply.tool_calls]
        input_tokens = max(1, request.size_bytes // 4)
        return Outgoing(
            profile=incoming.profile,
            request=request,
            reply=reply.completed(input_tokens=input_tokens, ids=ids),
            id=token_hex(14),
            at=self._clock.now(),
        )

    async def _fail(
        self, wire: Wire, dialect: Dialect, answer: Outgoing, fault: Fault, exchange: Exchange
    ) -> None:
        if fault.kind is FaultKind.HANG:
            await wire.pause(HANG_S)
        if fault.kind in {FaultKind.HANG, FaultKind.DROP}:
            exchange.outcome = "cut"
            await wire.drop()
            return
        facts = self._facts(answer.request.model)
        error = wire_error(dialect.name, answer.profile, fault, facts)
        await _send_error(wire, error, exchange)

    async def _send_whole(
        self, wire: Wire, dialect: Dialect, answer: Outgoing, exchange: Exchange
    ) -> None:
        if answer.reply.cut_after is not None:
            exchange.outcome = "cut"
            await wire.drop()
            return
        await _send_json(wire, dialect.whole(answer), exchange, {})

    async def _stream(
        self, wire: Wire, dialect: Dialect, answer: Outgoing, exchange: Exchange
    ) -> None:
        reply = answer.reply
        exchange.status = 200
        await wire.open(200, dialect.stream_type, {"cache-control": "no-cache"})
        for chunk in dialect.chunks(answer):
            if exchange.chunks == reply.cut_after:
                await self._cut(wire, dialect, answer, exchange)
                return
            await wire.pause(reply.delay.per_chunk_s)
            await wire.chunk(chunk)
            exchange.chunks += 1
        exchange.outcome = "answered"
        await wire.close(dialect.stream_end)

    async def _cut(
        self, wire: Wire, dialect: Dialect, answer: Outgoing, exchange: Exchange
    ) -> None:
        cut = answer.reply.cut
        exchange.outcome = "cut"
        if cut == "stall":
            await wire.pause(HANG_S)
        if cut in {"stall", "drop"}:
            await wire.drop()
            return
        if cut == "error":
            fault = answer.reply.fault or Fault(FaultKind.OVERLOAD)
            facts = self._facts(answer.request.model)
            error = wire_error(dialect.name, answer.profile, fault, facts)
            await wire.chunk(dialect.error_chunk(answer, error))
        await wire.close()


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


def _call_id(form: str) -> str:
    return token_hex(5)[:9] if form == "nine" else f"call_{token_hex(12)}"


async def _send_json(
    wire: Wire, body: object, exchange: Exchange, headers: Mapping[str, str]
) -> None:
    exchange.status, exchange.outcome = 200, "answered"
    await wire.answer(200, json.dumps(body, ensure_ascii=False).encode(), JSON_TYPE, headers)


async def _send_error(wire: Wire, error: WireError, exchange: Exchange) -> None:
    exchange.status, exchange.outcome = error.status, "refused"
    exchange.answer_headers = error.headers
    exchange.error = exchange.error or as_bytes(error.body).decode()
    media_type = "text/plain" if isinstance(error.body, str) else JSON_TYPE
    await wire.answer(error.status, as_bytes(error.body), media_type, error.headers)
