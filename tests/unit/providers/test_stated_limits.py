"""The headers of each provider, as quoted from live responses, and garbage in their place."""

import math
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potluck.providers.catalog import Api
from potluck.providers.stated_limits import parse_amount, stated_in_headers
from potluck.providers.stated_limits_table import TABLE
from potluck.quota.windows import StatedLimit

NOW = datetime(2026, 11, 21, 12, 7, 30, tzinfo=UTC)


def read(provider: str, headers: dict[str, str], api: Api = "openai") -> list[StatedLimit]:
    return list(stated_in_headers(provider, api, headers, NOW))


def facts(stated: list[StatedLimit]) -> list[tuple[str, str, float | None, float | None]]:
    return [(one.unit, one.period, one.limit, one.remaining) for one in stated]


def after(**span: float) -> datetime:
    return NOW + timedelta(**span)


def test_groq_names_the_days_requests_and_the_minutes_tokens_without_their_periods() -> None:
    headers = {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-limit-tokens": "8000",
        "x-ratelimit-remaining-requests": "998",
        "x-ratelimit-remaining-tokens": "7982",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-reset-tokens": "134ms",
    }
    day, minute = read("groq_llama", headers, api="groq")
    assert facts([day, minute]) == [
        ("requests", "day", 1000, 998),
        ("tokens", "minute", 8000, 7982),
    ]
    assert day.resets_at == after(minutes=2, seconds=59.56)
    assert minute.resets_at == after(milliseconds=134)
    assert day.from_header
    assert not day.account_wide
    assert day.source == "header x-ratelimit-limit-requests"


@pytest.mark.parametrize(
    ("left", "reset", "refills"),
    [
        pytest.param("7982", "134ms", True, id="so much flows back in that time"),
        pytest.param("4000", "30s", True, id="half of it in half a minute"),
        pytest.param("4000", "29.995s", True, id="rounded down to whole tokens"),
        pytest.param("4000", "48s", False, id="a period that began at some time"),
        pytest.param("7982", "60s", False, id="a minute from the first call"),
        pytest.param("8000", "0s", None, id="nothing is used"),
        pytest.param("4000", "soon", None, id="no time that can be read"),
    ],
)
def test_the_reset_of_a_minute_shows_whether_it_flows_back(
    left: str, reset: str, refills: bool | None
) -> None:
    headers = {
        "x-ratelimit-limit-tokens": "8000",
        "x-ratelimit-remaining-tokens": left,
        "x-ratelimit-reset-tokens": reset,
    }
    [minute] = read("groq", headers, api="groq")
    assert minute.refills is refills


@pytest.mark.parametrize(("reset_s", "period"), [(41, "minute"), (9 * 3600, "day")])
def test_openrouter_gives_the_moment_of_its_reset_in_milliseconds(
    reset_s: int, period: str
) -> None:
    reset = after(seconds=reset_s)
    headers = {
        "x-ratelimit-limit": "50",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(reset.timestamp() * 1000)),
    }
    [stated] = read("openrouter", headers)
    assert facts([stated]) == [("requests", period, 50, 0)]
    assert stated.account_wide
    assert stated.resets_at == reset


def test_together_speaks_of_seconds() -> None:
    headers = {
        "x-ratelimit-limit": "0.17",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "1",
        "x-tokenlimit-limit": "1000",
        "x-tokenlimit-remaining": "900",
    }
    stated = read("together", headers, api="together")
    assert facts(stated) == [
        ("requests", "minute", 10, None),
        ("tokens", "minute", 60_000, None),
    ]


def test_cerebras_tells_the_period_in_the_name() -> None:
    headers = {
        "x-ratelimit-limit-requests-minute": "5",
        "x-ratelimit-remaining-requests-minute": "4",
        "x-ratelimit-limit-requests-hour": "150",
        "x-ratelimit-remaining-requests-hour": "140",
        "x-ratelimit-limit-requests-day": "14400",
        "x-ratelimit-remaining-requests-day": "14399",
        "x-ratelimit-reset-requests-day": "33011.382867",
        "x-ratelimit-limit-tokens-minute": "60000",
        "x-ratelimit-remaining-tokens-minute": "59932",
        "x-ratelimit-reset-tokens-minute": "11.382867",
    }
    assert facts(read("my_own_name", headers)) == [
        ("requests", "minute", 5, 4),
        ("requests", "hour", 150, 140),
        ("requests", "day", 14400, 14399),
        ("tokens", "minute", 60000, 59932),
    ]


def test_mistral_counts_a_month_of_tokens() -> None:
    headers = {
        "x-ratelimit-limit-req-minute": "4",
        "x-ratelimit-remaining-req-minute": "0",
        "x-ratelimit-limit-req-10-second": "2",
        "x-ratelimit-remaining-req-10-second": "0",
        "x-ratelimit-limit-tokens-minute": "5000000",
        "x-ratelimit-remaining-tokens-minute": "4999911",
        "x-ratelimit-limit-tokens-month": "1000000000000",
        "x-ratelimit-remaining-tokens-month": "999998798434",
        "x-ratelimit-tokens-query-cost": "52",
    }
    assert facts(read("mistral", headers)) == [
        ("requests", "minute", 4, 0),
        ("tokens", "minute", 5e6, 4999911),
        ("tokens", "month", 1e12, 999998798434),
    ]


def test_cohere_tells_the_month_without_what_is_left_of_it() -> None:
    headers = {
        "x-endpoint-monthly-call-limit": "1000",
        "x-trial-endpoint-call-limit": "20",
        "x-trial-endpoint-call-remaining": "19",
    }
    stated = read("whatever", headers)
    assert facts(stated) == [("requests", "month", 1000, None), ("requests", "minute", 20, 19)]
    assert all(one.account_wide for one in stated)


def test_sambanova_calls_the_minutes_what_groq_calls_the_days() -> None:
    headers = {
        "x-ratelimit-limit-requests": "20",
        "x-ratelimit-remaining-requests": "19",
        "x-ratelimit-reset-requests": str(int(after(seconds=40).timestamp())),
        "x-ratelimit-limit-requests-day": "20",
        "x-ratelimit-remaining-requests-day": "7",
        "x-ratelimit-reset-requests-day": str(int(after(hours=5).timestamp())),
    }
    minute, day = read("sambanova", headers)
    assert facts([minute, day]) == [("requests", "minute", 20, 19), ("requests", "day", 20, 7)]
    assert day.resets_at == after(hours=5)


def test_anthropic_gives_dates() -> None:
    headers = {
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "2000",
        "anthropic-ratelimit-input-tokens-reset": "2026-11-21T12:08:00Z",
    }
    [stated] = read("claude", headers)
    assert facts([stated]) == [("input_tokens", "minute", 40000, 2000)]
    assert stated.resets_at == after(seconds=30)


def test_github_models_tells_how_long_a_period_is() -> None:
    headers = {
        "x-ratelimit-limit-requests": "20000",
        "x-ratelimit-remaining-requests": "19999",
        "x-ratelimit-renewalperiod-requests": "60",
        "x-ratelimit-reset-requests": "3",
    }
    [stated] = read("github", headers)
    assert facts([stated]) == [("requests", "minute", 20000, 19999)]
    assert stated.from_header


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "period"),
    [
        pytest.param("500", "499", "120ms", "minute", id="openai: a minute that refills"),
        pytest.param("200", "199", "7m12s", "day", id="openai: a day that refills"),
        pytest.param("14400", "14399", "6s", "day", id="a day that refills quickly"),
    ],
)
def test_an_even_refill_tells_the_period_for_certain(
    limit: str, remaining: str, reset: str, period: str
) -> None:
    headers = {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": reset,
    }
    [stated] = read("openai", headers)
    assert stated.period == period
    assert stated.from_header


@pytest.mark.parametrize(
    ("reset", "period"),
    [("47", "minute"), ("7200", "day"), ("604800", "month"), ("1800", None), ("0", None)],
)
def test_else_the_length_of_the_reset_tells_it_but_does_not_raise_a_limit(
    reset: str, period: str | None
) -> None:
    headers = {
        "x-ratelimit-limit": "100",
        "x-ratelimit-remaining": "90",
        "x-ratelimit-reset": reset,
    }
    stated = read("gateway", headers)
    assert [one.period for one in stated] == ([period] if period else [])
    assert not any(one.from_header for one in stated)


def test_a_reset_at_midnight_may_be_the_end_of_a_day_or_of_a_minute() -> None:
    now = datetime(2026, 11, 21, 23, 59, 20, tzinfo=UTC)
    headers = {"x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}
    assert stated_in_headers("openrouter", "openai", headers, now) == ()


def test_no_period_without_a_reset() -> None:
    assert not read("gateway", {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "90"})


def test_the_standards_draft_names_its_windows() -> None:
    headers = {
        "ratelimit-policy": '"burst";q=100;w=60, "daily";q=1000;w=86400, "odd";q=5;w=17',
        "ratelimit": '"burst";r=90;t=30, "daily";r=1;t=3000',
    }
    assert facts(read("gateway", headers)) == [
        ("requests", "minute", 100, 90),
        ("requests", "day", 1000, 1),
    ]


def test_what_is_left_is_told_even_without_the_limit() -> None:
    [stated] = read("cerebras", {"x-ratelimit-remaining-tokens-minute": "0"})
    assert facts([stated]) == [("tokens", "minute", None, 0)]


@pytest.mark.parametrize(
    ("limit", "remaining"),
    [
        ("-5", "1"),
        ("nan", "nan"),
        ("inf", "1"),
        ("1e30", "1"),
        ("9" * 40, "1"),
        ("", ""),
        ("many", "few"),
        ("[100]", "[1]"),
        ("0", "0"),
        ("100", "101"),
        ("0x10", "1"),
        ("\u0661\u0660", "-"),
    ],
)
def test_absurd_figures_tell_nothing(limit: str, remaining: str) -> None:
    headers = {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": "1m",
    }
    stated = read("groq", headers, api="groq")
    assert not [one for one in stated if one.limit is not None]


@pytest.mark.parametrize("reset", ["", "soon", "-5", "1e400", "nan", "0000", "9" * 400, "1e13"])
def test_an_absurd_reset_takes_nothing_away_from_the_limit(reset: str) -> None:
    headers = {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": reset,
    }
    [stated] = read("groq", headers, api="groq")
    assert facts([stated]) == [("requests", "day", 1000, 1)]


VALUES = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[-+]?\d{1,40}(\.\d{1,10})?(e[-+]?\d{1,3})?", fullmatch=True),
    st.from_regex(r"(\d{1,5}(\.\d)?(ms|m|h|d|s)){1,3}", fullmatch=True),
    st.sampled_from(["nan", "inf", "-inf", "", "100, 100;w=60", "[]", "null", "2026-13-45"]),
)


@settings(max_examples=60)
@given(
    provider=st.sampled_from(["groq", "openrouter", "together", "cohere", "sambanova", "x"]),
    api=st.sampled_from(get_args(Api)),
    headers=st.dictionaries(
        st.sampled_from([*sorted(TABLE.header_names), "ratelimit", "ratelimit-policy"]), VALUES
    ),
)
def test_whatever_the_headers_say_the_figures_make_sense(
    provider: str, api: Api, headers: dict[str, str]
) -> None:
    for stated in stated_in_headers(provider, api, headers, NOW):
        assert stated.limit is not None or stated.remaining is not None
        for figure in (stated.limit, stated.remaining):
            assert figure is None or (math.isfinite(figure) and 0 <= figure <= 1e15)
        assert stated.limit != 0
        if stated.limit is not None and stated.remaining is not None:
            assert stated.remaining <= stated.limit
        assert stated.resets_at is None or stated.resets_at >= NOW


@given(text=st.text(max_size=50))
def test_an_amount_is_a_plain_number_or_nothing(text: str) -> None:
    amount = parse_amount(text)
    assert amount is None or amount == float(text.strip())
