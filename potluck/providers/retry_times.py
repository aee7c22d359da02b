"""When a provider says that it is back, in any of the ways providers say it."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import chain
from zoneinfo import ZoneInfo

from potluck.errors import ErrorKind
from potluck.providers.failures import Failure

_UNITS_S = {
    "d": 86_400.0,
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|d|h|m|s))+"
_IN_TEXT = re.compile(rf"(?i)(?:try again|retry|reset\w*) (?:in|after) ({_DURATION})")
_IN_TEXT_SECONDS = re.compile(
    r"(?i)(?:(?:try again|retry) (?:in|after)|please wait) (\d+(?:\.\d+)?) ?sec"
)
_LONGEST = timedelta(days=62)
PACIFIC = ZoneInfo("America/Los_Angeles")


def parse_duration_s(text: str) -> float | None:
    """Seconds of a Go duration (`2m59.56s`, `134ms`) or a plain number; None if it is neither."""
    text = text.strip()
    try:
        value = float(text)
    except ValueError:
        if not re.fullmatch(_DURATION, text):
            return None
        return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    return value if 0 <= value < float("inf") else None


def parse_moment(text: str, now: datetime) -> datetime | None:
    """The moment that a reset names: a date, epoch seconds or milliseconds, or a time from now.

    None when it is neither, or more than two months away.
    """
    if not text:
        return None
    try:
        found = next(chain(_at_or_after(text, now), _at_iso(text), _at_date(text)), None)
    except OverflowError:
        return None
    return found if found is not None and abs(found - now) <= _LONGEST else None


def find_until(failure: Failure, kind: ErrorKind, now: datetime) -> datetime | None:
    """When the failed model is back, if the failure tells; never in the past or far away."""
    if kind is ErrorKind.DAY and _is_gemini_day(failure):
        # Its retryDelay is often a few seconds, even when the day is used up
        return next_midnight(now, PACIFIC)
    if kind is ErrorKind.DAY and "daily free allocation" in failure.message.lower():
        return next_midnight(now, ZoneInfo("UTC"))
    if kind is ErrorKind.CREDITS and "monthly" in failure.message.lower():
        return next_month(now)
    for moment in _stated(failure, kind, now):
        if now <= moment <= now + _LONGEST:
            return moment
    return None


def quota_ids(failure: Failure) -> list[str]:
    """The ids of the quotas that Gemini says were violated."""
    ids: list[str] = []
    for detail in details_of(failure, "QuotaFailure"):
        violations = detail.get("violations")
        ids += [
            f"{violation.get('quotaId', '')}={violation.get('quotaValue', '')}"
            for violation in (violations if isinstance(violations, list) else [])
            if isinstance(violation, dict)
        ]
    return ids


def _is_gemini_day(failure: Failure) -> bool:
    return any("PerDay" in quota_id for quota_id in quota_ids(failure))


def _stated(failure: Failure, kind: ErrorKind, now: datetime) -> Iterable[datetime]:
    """Every moment that the failure names, the most trustworthy first."""
    for detail in details_of(failure, "RetryInfo"):
        yield from _after(detail.get("retryDelay"), now)
    match = _IN_TEXT.search(failure.message) or _IN_TEXT_SECONDS.search(failure.message)
    if match:
        yield from _after(match.group(1), now)
    yield from _in_headers(failure.headers, kind, now)
    yield from _in_headers(nested_headers(failure), kind, now)


def nested_headers(failure: Failure) -> Mapping[str, str]:
    """The headers that OpenRouter puts into the body of its refusal."""
    metadata = failure.body.get("metadata")
    nested = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(nested, dict):
        return {}
    return {str(name).lower(): str(value) for name, value in nested.items()}


def _in_headers(headers: Mapping[str, str], kind: ErrorKind, now: datetime) -> Iterable[datetime]:
    if "retry-after-ms" in headers:
        yield from _after(headers["retry-after-ms"] + "ms", now)
    if "retry-after" in headers:
        yield from _after(headers["retry-after"], now)
        yield from _at_date(headers["retry-after"])
    if "x-ratelimit-reset" in headers:
        yield from _at_or_after(headers["x-ratelimit-reset"], now)
    # "requests" are per day and "tokens" per minute in the headers that have both
    window = "requests" if kind is ErrorKind.DAY else "tokens"
    if kind in (ErrorKind.DAY, ErrorKind.MINUTE):
        yield from _after(headers.get(f"x-ratelimit-reset-{window}"), now)


def _after(duration: object, now: datetime) -> Iterable[datetime]:
    seconds = parse_duration_s(duration) if isinstance(duration, str) else None
    if seconds is not None and seconds <= _LONGEST.total_seconds():
        yield now + timedelta(seconds=seconds)


def _at_date(text: str) -> Iterable[datetime]:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return
    yield moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _at_iso(text: str) -> Iterable[datetime]:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return
    yield moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _at_or_after(text: str, now: datetime) -> Iterable[datetime]:
    """A reset in seconds from now, or as a moment in epoch seconds or milliseconds."""
    value = parse_duration_s(text)
    if value is None:
        return
    if value > 1e14:
        return
    if value > 1e11:
        yield datetime.fromtimestamp(value / 1000, UTC)
    elif value > 1e9:
        yield datetime.fromtimestamp(value, UTC)
    else:
        yield from _after(text, now)


def details_of(failure: Failure, kind: str) -> Iterable[dict[str, object]]:
    """The details of that kind in a Google error."""
    details = failure.body.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith(kind):
            yield detail


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """The next midnight in that time zone, in UTC."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).astimezone(UTC)


def next_month(now: datetime) -> datetime:
    """The start of the next month, UTC."""
    utc = now.astimezone(UTC)
    later = utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)
    return later.replace(day=1)
