"""Turning a fault into the error the provider would send: status, body, headers."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from potluck.simulator.dialect import WireError
from potluck.simulator.profile import DialectName, FaultTemplate, Profile, profile_of
from potluck.simulator.reply import Fault, FaultKind

_MODEL_OF_DIALECT = {"openai": "openai", "gemini": "google_gemini", "ollama": "ollama"}
_PLACE = re.compile(r"\{(\w+)\}")
_DEFAULT_WAIT_S = {
    FaultKind.MINUTE_REQUESTS: 25.46,
    FaultKind.MINUTE_TOKENS: 11.8125,
    FaultKind.DAY_REQUESTS: 5692.896,
    FaultKind.DAY_TOKENS: 5692.896,
    FaultKind.MONTH: 864_000.0,
    FaultKind.CREDITS: 864_000.0,
    FaultKind.OVERLOAD: 5.0,
}


# what a scripted error says of the limit when nothing was counted: limit, used, requested
_DEFAULT_COUNTS = {
    FaultKind.MINUTE_REQUESTS: (30, 30, 1),
    FaultKind.MINUTE_TOKENS: (8000, 6644, 2931),
    FaultKind.DAY_REQUESTS: (1000, 1000, 1),
    FaultKind.DAY_TOKENS: (200_000, 199_120, 2931),
    FaultKind.MONTH: (1000, 1000, 1),
    FaultKind.TOO_LARGE: (8000, 0, 10_013),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """A limit, how much of it is used, and how much was asked for."""

    limit: int
    used: int
    requested: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an error may speak about: the model, the limit that is used up, when it is back."""

    model: str
    now: datetime
    key: str = ""
    counts: Counts | None = None
    retry_after_s: float | None = None


def wire_error(dialect: DialectName, profile: Profile, fault: Fault, facts: Facts) -> WireError:
    """The error for this fault on this wire. Raises ValueError for a fault that is no answer."""
    if fault.kind is None:
        return WireError(fault.status or 500, fault.body, fault.headers)
    template = _template(dialect, profile, fault.kind)
    values = _values(fault, facts)
    headers = {name: str(filled(text, values)) for name, text in template.headers.items()}
    body = filled(template.body, values) if fault.body is None else fault.body
    return WireError(fault.status or template.status, body, headers | dict(fault.headers))


def wait_of(fault: Fault) -> float:
    """How many seconds the provider tells the client to wait, as far as the fault decides it."""
    if fault.retry_after_s is not None or fault.kind is None:
        return fault.retry_after_s or 0.0
    return _DEFAULT_WAIT_S.get(fault.kind, 0.0)


def go_duration(seconds: float) -> str:
    """A duration as Go prints it and Groq sends it: `1h34m52.896s`, `2m59.56s`, `134ms`."""
    millis = max(0, math.ceil(seconds * 1000))
    if millis < 1000:
        return f"{millis}ms"
    minutes, millis = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    rest = f"{millis / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{rest}"
    return f"{minutes}m{rest}" if minutes else rest


def _template(dialect: DialectName, profile: Profile, kind: FaultKind) -> FaultTemplate:
    model_of_dialect = profile_of(_MODEL_OF_DIALECT[dialect])
    sources = [profile] if profile.dialect == dialect else []
    for source in (*sources, model_of_dialect, profile_of("openai")):
        if kind in source.faults:
            return source.faults[kind]
    raise ValueError(f"No provider answers with {kind.value!r}: it is not an answer.")


def _values(fault: Fault, facts: Facts) -> dict[str, object]:
    wait_s = wait_of(fault) if facts.retry_after_s is None else facts.retry_after_s
    limit, used, requested = _counts(fault, facts)
    back = facts.now + timedelta(seconds=wait_s)
    return {
        "model": facts.model,
        "limit": limit,
        "used": used,
        "requested": requested,
        "remaining": max(0, limit - used),
        "message": fault.message or "",
        "limit_text": str(limit),
        "key": facts.key,
        "wait_ms": math.ceil(wait_s * 1000),
        "wait_s": math.ceil(wait_s),
        "wait_exact_s": f"{wait_s:.4f}".rstrip("0").rstrip("."),
        "wait_go": go_duration(wait_s),
        "back_epoch_ms": math.ceil(back.timestamp() * 1000),
        "back_epoch_ms_text": str(math.ceil(back.timestamp() * 1000)),
        "back_epoch_s": math.ceil(back.timestamp()),
    }


def _counts(fault: Fault, facts: Facts) -> tuple[int, int, int]:
    if facts.counts is not None:
        return facts.counts.limit, facts.counts.used, facts.counts.requested
    return (0, 0, 0) if fault.kind is None else _DEFAULT_COUNTS.get(fault.kind, (0, 0, 0))


def filled(node: object, values: Mapping[str, object]) -> object:
    """A template with its `{names}` filled in; a string that is one name becomes its value."""
    if isinstance(node, str):
        whole = _PLACE.fullmatch(node)
        if whole and whole.group(1) in values:
            return values[whole.group(1)]
        return _PLACE.sub(lambda m: str(values.get(m.group(1), m.group())), node)
    if isinstance(node, Mapping):
        return {key: filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, values) for value in node]
    return node


def as_bytes(body: object) -> bytes:
    """An error body on the wire: text as it is, anything else as JSON."""
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, ensure_ascii=False).encode()
