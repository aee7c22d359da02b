"""What the headers of a response tell of the provider's limits."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from potluck.providers.catalog import Api
from potluck.providers.retry_times import parse_moment
from potluck.providers.stated_limits_table import TABLE, HeaderSet
from potluck.quota.windows import Period, StatedLimit

# A thousand times the largest that anyone gives: Mistral's month of 1,000,000,000,000 tokens
LARGEST = 1e13
PERIODS_S: Mapping[int, Period] = {60: "minute", 3_600: "hour", 86_400: "day"}

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")
_PER_MINUTE = 60
_MONTH_S = 31 * 86_400
# How far the time until a reset, a rounded figure, may be from what an even refill would make it
_TOLERANCE = 0.03
_RESOLUTION_S = 0.05
_POLICY = re.compile(r'(?:^|,)\s*"?(?P<name>[\w.-]*)"?\s*(?P<rest>(?:;\s*\w+=[^;,]+)+)')
_PAIR = re.compile(r';\s*(\w+)="?([\w.-]+)"?')


def stated_in_headers(
    provider: str, api: Api, headers: Mapping[str, str], now: datetime
) -> tuple[StatedLimit, ...]:
    """The limits that a response's headers state; header names in lower case.

    Figures that make no sense, or whose period is not certain, are left out; nothing is raised.
    """
    names = TABLE.header_names & headers.keys()
    if not names and "ratelimit-policy" not in headers:
        return ()
    found: dict[tuple[str, str, bool], StatedLimit] = {}
    claimed: set[str] = set()
    for dialect in TABLE.dialects:
        if not dialect.fits(provider, api, names):
            continue
        for part in dialect.sets:
            if part.names & claimed or not part.names & names:
                continue
            claimed |= part.names
            _keep(found, _read_set(part, headers, now))
    _keep(found, *_read_policies(headers))
    return tuple(found.values())


def parse_amount(text: str) -> float | None:
    """A limit or what remains of it; None for anything but a plain number of a sane size."""
    cleaned = text.strip()
    if not _NUMBER.fullmatch(cleaned):
        return None
    value = float(cleaned)
    return value if value <= LARGEST else None


def _keep(found: dict[tuple[str, str, bool], StatedLimit], *stated: StatedLimit | None) -> None:
    for one in stated:
        if one is not None:
            found.setdefault((one.unit, one.period, one.account_wide), one)


def _read_set(part: HeaderSet, headers: Mapping[str, str], now: datetime) -> StatedLimit | None:
    limit = _amount_in(headers, part.limit)
    remaining = _amount_in(headers, part.remaining)
    if limit == 0 or (limit is None and remaining is None):
        return None
    if limit is not None and remaining is not None and remaining > limit:
        return None
    resets_at = parse_moment(headers.get(part.reset, ""), now)
    if resets_at is not None and resets_at < now:
        resets_at = None
    stated = StatedLimit(
        unit=part.unit,
        period=part.period or "minute",
        source=f"header {part.limit if limit is not None else part.remaining}",
        limit=limit,
        remaining=remaining,
        resets_at=resets_at,
        account_wide=part.account_wide,
        from_header=True,
    )
    if part.per_second:
        return _to_minute(stated)
    if part.period is not None:
        return replace(stated, refills=_refills(stated, now))
    return _with_period(stated, headers.get(part.renewal), now)


def _amount_in(headers: Mapping[str, str], name: str) -> float | None:
    # The older draft of RateLimit headers: `100, 100;w=60`
    return parse_amount(headers.get(name, "").split(",")[0].split(";")[0])


def _to_minute(stated: StatedLimit) -> StatedLimit | None:
    """What is left of a second tells nothing of a minute."""
    if stated.limit is None:
        return None
    limit = math.floor(stated.limit * _PER_MINUTE + 1e-6)
    return replace(stated, limit=limit, remaining=None, resets_at=None) if limit else None


def _with_period(stated: StatedLimit, renewal: str | None, now: datetime) -> StatedLimit | None:
    renewal_s = parse_amount(renewal) if renewal is not None else None
    if renewal_s is not None:
        period = PERIODS_S.get(int(renewal_s))
        return replace(stated, period=period) if period else None
    if stated.resets_at is None:
        return None
    reset_s = (stated.resets_at - now).total_seconds()
    refilled = _refill_period(stated, reset_s)
    if refilled is not None:
        return replace(stated, period=refilled, refills=True)
    period = _shortest_period(reset_s, ends_at_midnight=_may_be_midnight(stated.resets_at))
    # Only certainty may raise a limit, and this is but the best reading
    return replace(stated, period=period, from_header=False) if period else None


def _refill_period(stated: StatedLimit, reset_s: float) -> Period | None:
    """The period over which the limit flows back evenly, if the reset is when it is full again."""
    if stated.limit is None or stated.remaining is None or stated.remaining >= stated.limit:
        return None
    whole_s = reset_s * stated.limit / (stated.limit - stated.remaining)
    for period_s in (60, 86_400):
        if abs(whole_s - period_s) <= period_s * _TOLERANCE:
            return PERIODS_S[period_s]
    return None


def _refills(stated: StatedLimit, now: datetime) -> bool | None:
    """Whether the limit flows back evenly, if the reset is when it is full; None: not to tell."""
    if stated.limit is None or stated.remaining is None or stated.resets_at is None:
        return None
    span_s = next((s for s, period in PERIODS_S.items() if period == stated.period), None)
    used = stated.limit - stated.remaining
    if span_s is None or used <= 0:
        return None
    # What is left comes in whole numbers, and less than one more may be left
    least_s, most_s = (used - 1) / stated.limit * span_s, used / stated.limit * span_s
    slack_s = max(_RESOLUTION_S, most_s * _TOLERANCE)
    told_s = (stated.resets_at - now).total_seconds()
    return least_s - slack_s <= told_s <= most_s + slack_s


def _shortest_period(reset_s: float, *, ends_at_midnight: bool) -> Period | None:
    if reset_s <= 0 or (reset_s <= 3_600 and ends_at_midnight):
        return None
    if reset_s <= 60.5:
        return "minute"
    if reset_s <= 3_600:
        # An hour's, or the end of a day's
        return None
    if reset_s <= 86_400 * (1 + _TOLERANCE):
        return "day"
    return "month" if reset_s <= _MONTH_S else None


def _may_be_midnight(moment: datetime) -> bool:
    """Whether a day may end then, give or take a second: time zones differ by quarter hours."""
    return (moment.timestamp() + 1) % (15 * 60) <= 2


def _read_policies(headers: Mapping[str, str]) -> Iterator[StatedLimit]:
    """The standard's draft: `ratelimit-policy: "day";q=100;w=86400`, `ratelimit: "day";r=50`."""
    left = dict(_read_items(headers.get("ratelimit", "")))
    for name, policy in _read_items(headers.get("ratelimit-policy", "")):
        limit = parse_amount(policy.get("q", ""))
        period = PERIODS_S.get(int(parse_amount(policy.get("w", "")) or 0))
        if not limit or period is None or policy.get("qu", "requests") != "requests":
            continue
        remaining = parse_amount(left.get(name, {}).get("r", ""))
        if remaining is not None and remaining > limit:
            continue
        yield StatedLimit(
            unit="requests",
            period=period,
            source="header ratelimit-policy",
            limit=limit,
            remaining=remaining,
            from_header=True,
        )


def _read_items(text: str) -> Iterable[tuple[str, dict[str, str]]]:
    for match in _POLICY.finditer(text[:400]):
        yield match["name"], dict(_PAIR.findall(match["rest"]))
