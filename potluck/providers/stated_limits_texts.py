"""What the body of a refusal tells of the provider's limits."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import cast
from zoneinfo import ZoneInfo

from potluck.errors import ErrorKind
from potluck.providers.errors import find_kind, is_account_wide
from potluck.providers.failures import Failure
from potluck.providers.retry_times import (
    PACIFIC,
    details_of,
    nested_headers,
    next_midnight,
    next_month,
    parse_moment,
)
from potluck.providers.stated_limits import PERIODS_S, parse_amount, stated_in_headers
from potluck.providers.stated_limits_table import TABLE, TextForm
from potluck.quota.windows import Period, StatedLimit, Unit

SOURCE = "error text"

_MAX_TEXT = 4_000
_QUOTA_KINDS = frozenset(
    {ErrorKind.MINUTE, ErrorKind.DAY, ErrorKind.MONTH, ErrorKind.CREDITS, ErrorKind.CONCURRENCY}
)
_GUESSED: dict[ErrorKind, Period] = {
    ErrorKind.MINUTE: "minute",
    ErrorKind.DAY: "day",
    ErrorKind.CONCURRENCY: "call",
}
_PERIODS: dict[str, Period] = {
    "m": "minute",
    "min": "minute",
    "minute": "minute",
    "h": "hour",
    "hour": "hour",
    "d": "day",
    "day": "day",
    "month": "month",
}
_GEMINI_PERIOD = re.compile(r"Per(Minute|Hour|Day|Month)")
_GEMINI_LINE = re.compile(r"for metric: (?P<metric>\S+?), limit: (?P<limit>\d+)")
# Windows that we do not count, and limits that are others' rather than ours
_NOT_OURS = re.compile(r"(?i)hour|week|session|upstream|check quota\)")


def stated_in_failure(failure: Failure, provider: str, now: datetime) -> tuple[StatedLimit, ...]:
    """The limits that a refusal states.

    A refusal that names no figure gives one without limit and remaining: that window is used up,
    whatever its limit is. Nothing is raised.
    """
    kind, until = find_kind(failure, now)
    if kind not in _QUOTA_KINDS and kind is not ErrorKind.TOO_LARGE:
        return ()
    found = tuple(_in_quota_failure(failure, until, now)) or tuple(_in_text(failure, now))
    if found or kind not in _GUESSED or _is_explained(failure, kind, provider, now):
        return found
    text = f"{failure.message} {failure.code}".lower()
    unit: Unit = "tokens" if "token" in text else "requests"
    return (
        StatedLimit(
            unit="concurrent" if kind is ErrorKind.CONCURRENCY else unit,
            period=_GUESSED[kind],
            source="refusal without figures",
            resets_at=until,
            account_wide=is_account_wide(failure),
        ),
    )


def _is_explained(failure: Failure, kind: ErrorKind, provider: str, now: datetime) -> bool:
    """Whether something else than a limit that we might guess is what refused the call."""
    metadata = failure.body.get("metadata")
    if failure.status not in (None, 429):
        return True
    if isinstance(metadata, dict) and metadata.get("raw"):
        # OpenRouter hands on what the provider behind it said
        return True
    if kind is ErrorKind.CONCURRENCY:
        return False
    if _NOT_OURS.search(failure.message):
        return True
    told = stated_in_headers(provider, "openai", failure.headers, now)
    return any(one.remaining == 0 for one in told)


def _in_quota_failure(
    failure: Failure, until: datetime | None, now: datetime
) -> Iterator[StatedLimit]:
    """Gemini's violations; older answers have the limit only in the text, by metric."""
    violations = [
        violation
        for detail in details_of(failure, "QuotaFailure")
        for violation in cast("list[object]", detail.get("violations") or [])
        if isinstance(violation, dict)
    ]
    for violation in violations:
        quota_id = str(violation.get("quotaId", ""))
        period = _GEMINI_PERIOD.search(quota_id)
        if period is None:
            continue
        limit = parse_amount(str(violation.get("quotaValue", "")))
        if limit is None:
            metric = str(violation.get("quotaMetric", ""))
            limit = _limit_of_metric(failure, metric, violations)
        if limit == 0:
            continue
        unit = _unit_in(quota_id)
        name = _PERIODS[period[1].lower()]
        yield StatedLimit(
            unit=unit,
            period=name,
            source=SOURCE,
            limit=limit,
            # A call's tokens may have been too many for what was left
            remaining=0 if limit is not None and unit == "requests" else None,
            resets_at=next_midnight(now, PACIFIC) if name == "day" else until,
            account_wide="PerModel" not in quota_id,
        )


def _limit_of_metric(failure: Failure, metric: str, violations: Sequence[object]) -> float | None:
    same = [one for one in violations if isinstance(one, dict) and one.get("quotaMetric") == metric]
    limits = {
        match["limit"]
        for match in _GEMINI_LINE.finditer(_whole_text(failure))
        if match["metric"] == metric
    }
    # With several windows of one metric, nothing tells whose limit a line names
    return parse_amount(limits.pop()) if len(same) == 1 and len(limits) == 1 else None


def _in_text(failure: Failure, now: datetime) -> Iterator[StatedLimit]:
    text = _whole_text(failure)
    for form in TABLE.texts:
        match = form.pattern.search(text)
        if match is not None:
            stated = _read_match(form, match.groupdict(), failure, now)
            if stated is not None:
                yield stated
            return


def _read_match(
    form: TextForm, groups: dict[str, str | None], failure: Failure, now: datetime
) -> StatedLimit | None:
    unit = form.unit or _unit_in(groups.get("code") or groups.get("unit") or "")
    period = "call" if unit == "concurrent" else form.period or _period_of(groups)
    limit = _figure(groups.get("limit"))
    if period is None or limit == 0 or (limit is None and groups.get("limit")):
        return None
    used = _figure(groups.get("used"))
    remaining = 0.0 if form.spent else None
    if limit is not None and used is not None:
        remaining = max(0.0, limit - used)
    resets_at = _end_of(form, now)
    nested = nested_headers(failure) or failure.headers
    if form.spent and limit is None and "x-ratelimit-limit" in nested:
        limit = parse_amount(nested["x-ratelimit-limit"]) or None
        resets_at = parse_moment(nested.get("x-ratelimit-reset", ""), now)
    return StatedLimit(
        unit=unit,
        period=period,
        source=SOURCE,
        limit=limit,
        remaining=remaining,
        resets_at=resets_at,
        account_wide=form.account_wide,
    )


def _period_of(groups: dict[str, str | None]) -> Period | None:
    if groups.get("seconds"):
        return PERIODS_S.get(int(groups["seconds"] or 0))
    word = groups.get("period") or (groups.get("code") or "")[-1:]
    return _PERIODS.get(word.lower())


def _unit_in(name: str) -> Unit:
    """What a quota's name counts: `TPM`, `GenerateContentInputTokensPerModelPerDay`."""
    lowered = name.lower()
    if "concurren" in lowered:
        return "concurrent"
    if "token" in lowered:
        for part, unit in (("input", "input_tokens"), ("output", "output_tokens")):
            if part in lowered:
                return cast("Unit", unit)
        return "tokens"
    return "tokens" if re.fullmatch(r"tp[mhd]", lowered) else "requests"


def _figure(text: str | None) -> float | None:
    return parse_amount(text.replace(",", "").rstrip(".")) if text else None


def _end_of(form: TextForm, now: datetime) -> datetime | None:
    match form.ends:
        case "utc_day":
            return next_midnight(now, ZoneInfo("UTC"))
        case "utc_month":
            return next_month(now.astimezone(UTC))
        case None:
            return None


def _whole_text(failure: Failure) -> str:
    """The provider's own text, uncut."""
    message = failure.body.get("message")
    text = message if isinstance(message, str) and message else failure.message
    return " ".join(text[:_MAX_TEXT].split())
