"""Waits are understood in every form in which providers state them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.errors import ErrorKind
from potluck.providers.failures import Failure
from potluck.providers.retry_times import find_until, parse_duration_s, parse_moment

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m59.56s", 179.56),
        ("1m26.4s", 86.4),
        ("134ms", 0.134),
        ("1h34m52.896s", 5692.896),
        ("38s", 38.0),
        ("65205s", 65205.0),
        ("7", 7.0),
        ("0.5", 0.5),
        ("250µs", 0.00025),
        ("soon", None),
        ("", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("5 minutes", None),
        ("3x", None),
    ],
)
def test_parses_go_durations_and_plain_seconds(text: str, seconds: float | None) -> None:
    parsed = parse_duration_s(text)
    assert parsed == (seconds if seconds is None else pytest.approx(seconds))


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_parses_back_whatever_go_would_print(hours: int, minutes: int, millis: int) -> None:
    text = f"{hours}h{minutes}m{millis / 1000:.3f}s"
    assert parse_duration_s(text) == pytest.approx(hours * 3600 + minutes * 60 + millis / 1000)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    assert parse_duration_s(text) is None or parse_duration_s(text) >= 0  # type: ignore[operator] # not None here


def until(kind: ErrorKind = ErrorKind.MINUTE, **failure: object) -> timedelta | None:
    moment = find_until(Failure(**failure), kind, NOW)  # type: ignore[arg-type] # built from names
    return None if moment is None else moment - NOW


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ratelimit-reset-tokens": "2m59.56s"}, 179.56),
        ({"x-ratelimit-reset": "20"}, 20),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 90)}, 90),
        ({"x-ratelimit-reset": str((int(NOW.timestamp()) + 90) * 1000)}, 90),
        ({"retry-after": "12", "x-ratelimit-reset-tokens": "1s"}, 12),
    ],
)
def test_reads_each_kind_of_header(headers: dict[str, str], seconds: float) -> None:
    assert until(headers=headers) == timedelta(seconds=seconds)


def test_the_header_of_requests_is_the_day_and_that_of_tokens_the_minute() -> None:
    headers = {"x-ratelimit-reset-requests": "1h", "x-ratelimit-reset-tokens": "5s"}
    assert until(ErrorKind.DAY, headers=headers) == timedelta(hours=1)
    assert until(ErrorKind.MINUTE, headers=headers) == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 11.8125s. Need more tokens?", 11.8125),
        ("Please try again in 1h34m52.896s.", 5692.896),
        ("... Please retry in 25.46s.", 25.46),
        ("Try again in 20 seconds.", 20),
        ("Rate limit of 50 per 86400s exceeded. Please wait 52220 seconds before", 52220),
    ],
)
def test_reads_the_wait_from_the_text(message: str, seconds: float) -> None:
    assert until(message=message) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "never"},
        {"retry-after": "Sat, 21 Nov 2020 12:00:00 GMT"},
        {"retry-after": "99999999999999999999"},
        {"x-ratelimit-reset": "1e300"},
        {"x-ratelimit-reset": "1600000000"},
        {},
    ],
)
def test_a_moment_that_makes_no_sense_is_no_moment(headers: dict[str, str]) -> None:
    assert until(headers=headers) is None


def test_monthly_credits_are_back_on_the_first_of_the_next_month() -> None:
    message = "You have exceeded your monthly included credits for Inference Providers."
    assert find_until(Failure(message=message), ErrorKind.CREDITS, NOW) == datetime(
        2026, 12, 1, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2m59.56s", NOW + timedelta(seconds=179.56)),
        ("30", NOW + timedelta(seconds=30)),
        ("1795262460", NOW + timedelta(minutes=1)),
        ("1795262460000", NOW + timedelta(minutes=1)),
        ("2026-11-21T12:01:00Z", NOW + timedelta(minutes=1)),
        ("2026-11-21T14:01:00+02:00", NOW + timedelta(minutes=1)),
        ("Sat, 21 Nov 2026 12:01:00 GMT", NOW + timedelta(minutes=1)),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1600000000", None),
        ("2026-13-45", None),
        ("9" * 400, None),
    ],
)
def test_reads_a_reset_in_each_of_its_forms(text: str, expected: datetime | None) -> None:
    assert parse_moment(text, NOW) == expected


@given(st.text(max_size=40))
def test_any_reset_is_a_near_moment_or_none(text: str) -> None:
    moment = parse_moment(text, NOW)
    assert moment is None or abs(moment - NOW) <= timedelta(days=62)
