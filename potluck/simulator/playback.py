"""Playing one reply onto the wire: whole or streamed, slow, failing, or cut off."""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType

from potluck.simulator.clock import Clock
from potluck.simulator.dialect import Dialect, Outgoing, WireError
from potluck.simulator.faults import Facts, as_bytes, wait_of, wire_error
from potluck.simulator.log import Exchange
from potluck.simulator.meter import Admission
from potluck.simulator.profile import Profile
from potluck.simulator.reply import Fault, FaultKind
from potluck.simulator.wire import Wire

# longer than any client waits; a provider that hangs must not hold a connection for ever
HANG_S = 3600.0
JSON_TYPE = "application/json"

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Playback:
    """Writes the answers to one request, and notes in its exchange what was written."""

    def __init__(self, wire: Wire, dialect: Dialect, exchange: Exchange, clock: Clock) -> None:
        self._wire = wire
        self._dialect = dialect
        self._exchange = exchange
        self._clock = clock

    async def play(self, answer: Outgoing, admission: Admission) -> None:
        """Answer with this reply, and the headers that tell what is left."""
        reply = answer.reply
        self._exchange.reply = reply
        await self._wire.pause(reply.delay.first_byte_s)
        headers = admission.headers(self._clock.now())
        if reply.fault is not None and reply.cut_after is None:
            await self._fail(answer, reply.fault, admission)
        elif answer.request.stream:
            await self._stream(answer, headers)
        elif reply.cut_after is not None:
            await self._drop()
        else:
            await self.send(self._dialect.whole(answer), headers)

    async def deny(self, profile: Profile, model: str, admission: Admission) -> None:
        """Refuse a request that a limit does not let in. Nothing is sent if none denied it."""
        denial = admission.denial
        if denial is None:
            return
        now = self._clock.now()
        wait_s = denial.wait_s if math.isfinite(denial.wait_s) else 0.0
        facts = Facts(model=model, now=now, counts=denial.counts, retry_after_s=wait_s)
        error = wire_error(self._dialect.name, profile, Fault(denial.kind), facts)
        await self.refuse(error, admission.headers(now, spent=denial.kind, wait_s=wait_s))

    async def send(self, body: object, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Send a good answer as JSON."""
        self._note(200, headers)
        await self._wire.answer(
            200, json.dumps(body, ensure_ascii=False).encode(), JSON_TYPE, headers
        )
        self._exchange.outcome = "answered"

    async def refuse(self, error: WireError, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Send an error."""
        body = as_bytes(error.body)
        told = {**headers, **error.headers}
        self._note(error.status, told)
        self._exchange.error = self._exchange.error or body.decode()
        media_type = "text/plain" if isinstance(error.body, str) else JSON_TYPE
        await self._wire.answer(error.status, body, media_type, told)
        self._exchange.outcome = "refused"

    async def _fail(self, answer: Outgoing, fault: Fault, admission: Admission) -> None:
        if fault.kind is FaultKind.HANG:
            await self._wire.pause(HANG_S)
        if fault.kind in {FaultKind.HANG, FaultKind.DROP}:
            await self._drop()
            return
        told = admission.headers(self._clock.now(), spent=fault.kind, wait_s=wait_of(fault))
        await self.refuse(self._error(answer, fault), told)

    async def _stream(self, answer: Outgoing, headers: Mapping[str, str]) -> None:
        reply = answer.reply
        self._note(200, headers)
        await self._wire.open(
            200, self._dialect.stream_type, {"cache-control": "no-cache", **headers}
        )
        for chunk in self._dialect.chunks(answer):
            if self._exchange.chunks == reply.cut_after:
                await self._cut(answer)
                return
            await self._wire.pause(reply.delay.per_chunk_s)
            await self._wire.chunk(chunk)
            self._exchange.chunks += 1
        await self._wire.close(self._dialect.stream_end)
        self._exchange.outcome = "answered"

    async def _cut(self, answer: Outgoing) -> None:
        cut = answer.reply.cut
        if cut == "stall":
            await self._wire.pause(HANG_S)
        if cut in {"stall", "drop"}:
            await self._drop()
            return
        if cut == "error":
            fault = answer.reply.fault or Fault(FaultKind.OVERLOAD)
            error = self._error(answer, fault)
            await self._wire.chunk(self._dialect.error_chunk(answer, error))
        await self._wire.close()
        self._exchange.outcome = "cut"

    async def _drop(self) -> None:
        self._exchange.outcome = "cut"
        await self._wire.drop()

    def _error(self, answer: Outgoing, fault: Fault) -> WireError:
        facts = Facts(model=answer.request.model, now=self._clock.now())
        return wire_error(self._dialect.name, answer.profile, fault, facts)

    def _note(self, status: int, headers: Mapping[str, str]) -> None:
        self._exchange.status = status
        self._exchange.answer_headers = headers
