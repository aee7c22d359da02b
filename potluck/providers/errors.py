"""Turns whatever a vendor's class raises into a ProviderError with kind, scope and until-when."""

import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.failures import Failure, read_failure, redact
from potluck.providers.retry_times import find_until, quota_ids

_log = logging.getLogger(__name__)

_SCOPES = {
    ErrorKind.MINUTE: ErrorScope.MODEL,
    ErrorKind.DAY: ErrorScope.MODEL,
    ErrorKind.MONTH: ErrorScope.KEY,
    ErrorKind.CREDITS: ErrorScope.KEY,
    ErrorKind.CONCURRENCY: ErrorScope.KEY,
    ErrorKind.AUTH: ErrorScope.KEY,
    ErrorKind.MODEL_GONE: ErrorScope.MODEL,
    ErrorKind.OVERLOAD: ErrorScope.MODEL,
    ErrorKind.NETWORK: ErrorScope.PROVIDER,
    ErrorKind.TIMEOUT: ErrorScope.MODEL,
    ErrorKind.UNKNOWN: ErrorScope.MODEL,
}
# A wait longer than this is no minute's limit, whatever the provider calls it
_LONGEST_MINUTE = timedelta(minutes=30)

_TIMEOUT_CLASSES = frozenset(
    {"TimeoutError", "TimeoutException", "APITimeoutError", "ModelTimeoutError"}
    | {"InferenceTimeoutError", "ReadTimeout", "ConnectTimeout"}
)
_NETWORK_CLASSES = frozenset(
    {"APIConnectionError", "ModelConnectionError", "TransportError", "ConnectionError", "OSError"}
    | {"ClientConnectionError", "ClientPayloadError", "ServerDisconnectedError"}
)


def classify(error: Exception, *, provider: str, model: str, now: datetime) -> ProviderError:
    """What `error` means for the chain. Texts are free of keys; unknown errors are logged."""
    if isinstance(error, ProviderError):
        return error
    failure = read_failure(error)
    kind, until = find_kind(failure, now)
    if kind is ErrorKind.UNKNOWN:
        _log.warning(
            "unknown error of %s/%s: %s %s: %s",
            provider,
            model,
            type(error).__name__,
            failure.status,
            failure.message,
        )
    fault = ProviderFault(
        kind=kind,
        scope=_find_scope(failure, kind),
        message=_describe(error, failure, kind),
        until=until,
        status=failure.status,
    )
    return ProviderError(provider, model, fault)


def find_kind(failure: Failure, now: datetime) -> tuple[ErrorKind, datetime | None]:
    """What a failed call means, and until when."""
    kind = next((found for rule in _RULES if (found := rule(failure))), ErrorKind.UNKNOWN)
    until = find_until(failure, kind, now)
    if kind is ErrorKind.MINUTE and until is not None and until - now > _LONGEST_MINUTE:
        kind = ErrorKind.DAY
    return kind, until


def _find_scope(failure: Failure, kind: ErrorKind) -> ErrorScope:
    if kind in (ErrorKind.MINUTE, ErrorKind.DAY) and is_account_wide(failure):
        return ErrorScope.KEY
    if kind is ErrorKind.UNKNOWN and failure.status in (400, 422):
        return ErrorScope.REQUEST
    return _SCOPES.get(kind, ErrorScope.REQUEST)


def is_account_wide(failure: Failure) -> bool:
    """OpenRouter's free limits and Cloudflare's neurons are shared by all models."""
    text = failure.message.lower()
    return "free-models-per-" in text or "daily free allocation" in text


def _describe(error: Exception, failure: Failure, kind: ErrorKind) -> str:
    if kind is ErrorKind.TIMEOUT and failure.status is None:
        return "it did not answer in time"
    if kind is ErrorKind.NETWORK:
        return f"it cannot be reached ({redact(str(error)) or type(error).__name__})"
    return failure.message


def _without_answer(failure: Failure) -> ErrorKind | None:
    if failure.status is not None:
        return None
    if failure.classes & _TIMEOUT_CLASSES:
        return ErrorKind.TIMEOUT
    # A JSON error, too, can have a broken connection as its context: only bodiless ones count
    if failure.classes & _NETWORK_CLASSES:
        return ErrorKind.NETWORK
    return None


_NO_QUOTA = re.compile(r"(?i)\blimit:? 0(?![\d.])")


def _gemini_quota(failure: Failure) -> ErrorKind | None:
    ids = quota_ids(failure)
    unfree = ids and _NO_QUOTA.search(failure.message)
    if unfree or any(quota_id.endswith("=0") for quota_id in ids):
        return ErrorKind.MODEL_GONE
    if any("PerDay" in quota_id for quota_id in ids):
        return ErrorKind.DAY
    if any("PerMonth" in quota_id for quota_id in ids):
        return ErrorKind.MONTH
    return ErrorKind.MINUTE if ids else None


# First match wins. Each row: where to look (`code` or `message`), what for, and what it means.
_PHRASES: tuple[tuple[str, str, ErrorKind], ...] = (
    ("message", r"\blimit:? 0(?![\d.])", ErrorKind.MODEL_GONE),
    ("code", r"tool_use_failed|output_parse_failed", ErrorKind.BAD_TOOL_CALL),
    ("message", r"failed to call a function|tool call validation failed", ErrorKind.BAD_TOOL_CALL),
    ("code", r"context_length_exceeded|request_too_large|string_above_max", ErrorKind.TOO_LARGE),
    (
        "message",
        (
            r"request too large|(?:maximum|max) context (?:length|size)|context length exceeded"
            r"|prompt is too long|exceeds the maximum number of tokens|reduce (?:your message size"
            r"|the length)|input token count .*exceeds"
        ),
        ErrorKind.TOO_LARGE,
    ),
    (
        "code",
        r"model_decommissioned|model_not_found|model_not_supported|model_not_available",
        ErrorKind.MODEL_GONE,
    ),
    (
        "message",
        (
            r"model .{0,120}(?:decommissioned|does not exist|is not found|not found"
            r"|is not supported by any provider)|no endpoints found|no longer available"
            r"|invalid model\b|not a valid model|no such model|this model requires a subscription"
        ),
        ErrorKind.MODEL_GONE,
    ),
    (
        "code",
        r"content_filter|content_policy|prohibited_content|moderation",
        ErrorKind.CONTENT_FILTER,
    ),
    (
        "message",
        r"content (?:management )?policy|flagged (?:by|for)|requires moderation",
        ErrorKind.CONTENT_FILTER,
    ),
    (
        "message",
        (
            r"api key (?:not valid|expired|not found)|invalid api key|incorrect api key"
            r"|user location is not supported"
        ),
        ErrorKind.AUTH,
    ),
    ("code", r"invalid_api_key|unauthenticated|permission_denied", ErrorKind.AUTH),
    ("code", r"insufficient_quota|insufficient_credits|billing_not_active", ErrorKind.CREDITS),
    (
        "message",
        r"included credits|insufficient (?:credits|balance|funds)",
        ErrorKind.CREDITS,
    ),
    (
        "message",
        r"too many concurrent|concurrent requests|concurrency|worker local total request limit",
        ErrorKind.CONCURRENCY,
    ),
    ("code", r"capacity_exceeded|queue_exceeded|overloaded|\b3505\b", ErrorKind.OVERLOAD),
    (
        "message",
        (
            r"degraded function|overloaded|(?:at|over) capacity|capacity temporarily exceeded"
            r"|experiencing high traffic|rate-limited upstream"
        ),
        ErrorKind.OVERLOAD,
    ),
    ("code", r"\b(?:4006|3036)\b", ErrorKind.DAY),
)
_COMPILED = tuple((where, re.compile(text, re.IGNORECASE), kind) for where, text, kind in _PHRASES)


def _phrases(failure: Failure) -> ErrorKind | None:
    texts = {"code": failure.code, "message": failure.message}
    for where, pattern, kind in _COMPILED:
        if pattern.search(texts[where]):
            return kind
    return None


_WINDOW_PHRASES = (
    (re.compile(r"(?i)per[ -]?month|monthly|/ ?month"), ErrorKind.MONTH),
    (
        re.compile(r"(?i)per[ -]?day|daily|\((?:RPD|TPD)\)|/ ?day|hourly|per[ -]?hour"),
        ErrorKind.DAY,
    ),
)


def _rate_limit(failure: Failure) -> ErrorKind | None:
    limited = failure.status == 429 or "rate_limit" in failure.code
    if not limited:
        return None
    if any("ratelimit-limit-" in name and value == "0" for name, value in failure.headers.items()):
        return ErrorKind.MODEL_GONE
    for pattern, kind in _WINDOW_PHRASES:
        if pattern.search(failure.message):
            return kind
    if failure.headers.get("x-trial-endpoint-call-remaining") == "0":
        return ErrorKind.MONTH
    return ErrorKind.MINUTE


_BY_STATUS = {
    401: ErrorKind.AUTH,
    402: ErrorKind.CREDITS,
    403: ErrorKind.AUTH,
    404: ErrorKind.MODEL_GONE,
    408: ErrorKind.TIMEOUT,
    410: ErrorKind.MODEL_GONE,
    413: ErrorKind.TOO_LARGE,
    498: ErrorKind.OVERLOAD,
    504: ErrorKind.TIMEOUT,
}
_CANNOT = re.compile(
    r"(?i)not support|unsupported|not (?:allow|permit|implement)|does not allow"
    r"|extra inputs|extra_forbidden|unrecognized|unknown (?:name|field|param|argument)"
)


def _status(failure: Failure) -> ErrorKind | None:
    status = failure.status
    if status is None:
        return None
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ErrorKind.OVERLOAD
    if status in (400, 422):
        # What one model cannot do another may: only a request that is wrong in itself stops
        return ErrorKind.UNKNOWN if _CANNOT.search(failure.message) else ErrorKind.CALLER
    return None


def _context_overflow(failure: Failure) -> ErrorKind | None:
    return ErrorKind.TOO_LARGE if "ContextOverflowError" in failure.classes else None


_RULES: tuple[Callable[[Failure], ErrorKind | None], ...] = (
    _gemini_quota,
    _phrases,
    _rate_limit,
    _context_overflow,
    _without_answer,
    _status,
)
