"""The texts of refusals, as quoted from live responses."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.providers.failures import Failure, read_failure
from potluck.providers.stated_limits_texts import stated_in_failure
from potluck.quota.windows import StatedLimit

NOW = datetime(2026, 11, 21, 12, 7, 30, tzinfo=UTC)
Facts = tuple[str, str, float | None, float | None, bool]


class Response:
    def __init__(self, status: int, body: object, headers: dict[str, str]) -> None:
        self.status_code = status
        self.text = json.dumps(body)
        self.headers = headers


class AnsweredError(Exception):
    """An SDK's exception for an answer with an error status."""

    def __init__(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"Error code: {status}")
        self.response = Response(status, body, headers or {})


def read(
    status: int, body: object, headers: dict[str, str] | None = None, provider: str = "p"
) -> list[StatedLimit]:
    failure = read_failure(AnsweredError(status, body, headers))
    return list(stated_in_failure(failure, provider, NOW))


def facts(stated: list[StatedLimit]) -> list[Facts]:
    return [(one.unit, one.period, one.limit, one.remaining, one.account_wide) for one in stated]


def message(text: str) -> object:
    return {"error": {"message": text, "type": "x", "code": "rate_limit_exceeded"}}


GROQ = (
    "Rate limit reached for model `openai/gpt-oss-120b` in organization `org_x` service tier "
    "`on_demand` on {window}: Limit {limit}, Used {used}, Requested 2931. Please try again in "
    "1h34m52.896s. Need more tokens? Upgrade to Dev Tier today at "
    "https://console.groq.com/settings/billing"
)


@pytest.mark.parametrize(
    ("window", "limit", "used", "expected"),
    [
        ("tokens per day (TPD)", 200000, 199000, ("tokens", "day", 200000, 1000, False)),
        ("tokens per minute (TPM)", 8000, 6644, ("tokens", "minute", 8000, 1356, False)),
        ("requests per day (RPD)", 1000, 1000, ("requests", "day", 1000, 0, False)),
        ("requests per minute (RPM)", 30, 31, ("requests", "minute", 30, 0, False)),
    ],
)
def test_groq_names_limit_and_use(window: str, limit: int, used: int, expected: Facts) -> None:
    stated = read(429, message(GROQ.format(window=window, limit=limit, used=used)))
    assert facts(stated) == [expected]
    assert not stated[0].from_header
    assert stated[0].source == "error text"


def test_a_request_that_is_too_large_tells_the_limit_but_not_what_is_left() -> None:
    text = (
        "Request too large for model `m` in organization `org_x` service tier `on_demand` on "
        "tokens per minute (TPM): Limit 8000, Requested 10013, please reduce your message size"
    )
    assert facts(read(413, message(text))) == [("tokens", "minute", 8000, None, False)]


def quota_failure(
    *violations: tuple[str, str, str | None], text: str = "You exceeded your current quota"
) -> object:
    prefix = "type.googleapis.com/google.rpc."
    return {
        "error": {
            "code": 429,
            "message": f"{text}\nPlease retry in 25.46s.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": prefix + "Help", "links": []},
                {
                    "@type": prefix + "QuotaFailure",
                    "violations": [
                        {
                            "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
                            "quotaId": quota_id,
                            "quotaDimensions": {"location": "global", "model": "m"},
                            **({"quotaValue": value} if value is not None else {}),
                        }
                        for metric, quota_id, value in violations
                    ],
                },
                {"@type": prefix + "RetryInfo", "retryDelay": "25s"},
            ],
        }
    }


REQUESTS = "generate_content_free_tier_requests"
TOKENS = "generate_content_free_tier_input_token_count"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
MINUTE_TOKENS = "GenerateContentInputTokensPerModelPerMinute-FreeTier"


def test_gemini_names_each_quota_that_is_used_up() -> None:
    body = quota_failure((TOKENS, MINUTE_TOKENS, "250000"), (REQUESTS, DAY, "20"))
    tokens, day = read(429, body, provider="google_gemini")
    assert facts([tokens, day]) == [
        ("input_tokens", "minute", 250000, None, False),
        ("requests", "day", 20, 0, False),
    ]
    assert day.resets_at == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_gemini_ends_a_minute_after_its_retry_delay() -> None:
    [minute] = read(429, quota_failure((REQUESTS, MINUTE, "15")))
    assert facts([minute]) == [("requests", "minute", 15, 0, False)]
    assert minute.resets_at == NOW + timedelta(seconds=25)


def test_gemini_without_a_value_tells_it_in_the_text() -> None:
    text = (
        "You exceeded your current quota.\n* Quota exceeded for metric: "
        f"generativelanguage.googleapis.com/{TOKENS}, limit: 250000, model: gemini-2.5-flash"
    )
    body = quota_failure((TOKENS, MINUTE_TOKENS, None), text=text)
    assert facts(read(429, body)) == [("input_tokens", "minute", 250000, None, False)]


def test_gemini_does_not_tell_which_of_two_windows_a_line_of_text_means() -> None:
    text = f"* Quota exceeded for metric: generativelanguage.googleapis.com/{REQUESTS}, limit: 20"
    body = quota_failure((REQUESTS, DAY, None), (REQUESTS, MINUTE, None), text=text)
    assert [one.limit for one in read(429, body)] == [None, None]


def test_a_model_that_is_not_free_teaches_no_limit() -> None:
    assert read(429, quota_failure((REQUESTS, DAY, "0"))) == []


def test_openrouter_hides_its_figures_in_headers_inside_the_body() -> None:
    body = {
        "error": {
            "message": "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 "
            "free model requests per day",
            "code": 429,
            "metadata": {
                "headers": {
                    "X-RateLimit-Limit": "50",
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": "1795305600000",
                }
            },
        }
    }
    [stated] = read(429, body, provider="openrouter")
    assert facts([stated]) == [("requests", "day", 50, 0, True)]
    assert stated.resets_at == datetime(2026, 11, 22, tzinfo=UTC)


def test_openrouter_in_short() -> None:
    body = {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min. "}}
    assert facts(read(429, body)) == [("requests", "minute", None, 0, True)]


COHERE = (
    "You are using a Trial key, which is limited to {} API calls / {}. You can continue to use "
    "the Trial key for free or upgrade to a Production key with higher rate limits"
)
TOGETHER = (
    "You have reached the rate limit specific to this model deepseek-ai/DeepSeek-R1. The maximum "
    "rate limit for this model is {} queries per minute. This limit differs from the general rate "
    "limits published at Together AI rate limits documentation"
)
ANTHROPIC = (
    "This request would exceed the rate limit for your organization of 20,000 input tokens per "
    "minute. For details, refer to: https://docs.anthropic.com/en/api/rate-limits."
)
NEURONS = (
    "AiError: AiError: you have used up your daily free allocation of 10,000 neurons, please "
    "upgrade to Cloudflare's Workers Paid plan if you would like to continue usage."
)
CREDITS = "You have exceeded your monthly included credits for Inference Providers. Subscribe"
KIMI = "Your account org-1<ak-2> request reached organization "


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"message": COHERE.format(20, "minute")}, ("requests", "minute", 20, 0, True)),
        (429, {"message": COHERE.format(1000, "month")}, ("requests", "month", 1000, 0, True)),
        (429, message(TOGETHER.format("120")), ("requests", "minute", 120, None, False)),
        (429, message(TOGETHER.format("10.0")), ("requests", "minute", 10, None, False)),
        (429, message(ANTHROPIC), ("input_tokens", "minute", 20000, None, False)),
        (
            429,
            {"errors": [{"message": NEURONS, "code": 4006}], "success": False},
            ("credits", "day", 10000, 0, True),
        ),
        (402, {"error": CREDITS}, ("credits", "month", None, 0, True)),
        (
            429,
            message("Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait"),
            ("requests", "day", 50, None, False),
        ),
        (
            429,
            message(
                "Rate limit of 300000 per 60s exceeded for UserByModelByMinuteUncachedInputTokens."
            ),
            ("input_tokens", "minute", 300000, None, False),
        ),
        (
            429,
            message("Rate limit of 5 per 0s exceeded for UserConcurrentRequests. Please wait 0"),
            ("concurrent", "call", 5, None, True),
        ),
        (
            429,
            message(KIMI + "max RPM: 3, please try again after 1 seconds"),
            ("requests", "minute", 3, None, True),
        ),
        (
            429,
            message(KIMI + "TPM rate limit, current:33000, limit:32000"),
            ("tokens", "minute", 32000, 0, True),
        ),
        (
            429,
            message(KIMI + "max concurrency: 1, please try again after 1 seconds"),
            ("concurrent", "call", 1, None, True),
        ),
    ],
)
def test_a_text_tells(status: int, body: object, expected: Facts) -> None:
    assert facts(read(status, body)) == [expected]


def test_credits_end_with_the_month_and_neurons_with_the_day_of_utc() -> None:
    [credits_] = read(402, {"error": CREDITS})
    [neurons] = read(429, {"errors": [{"message": NEURONS, "code": 4006}]})
    assert credits_.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert neurons.resets_at == datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "unit", "period"),
    [
        (
            {
                "message": "Tokens per minute limit exceeded - too many tokens processed.",
                "type": "too_many_tokens_error",
                "param": "quota",
                "code": "token_quota_exceeded",
            },
            "tokens",
            "minute",
        ),
        (
            {"message": "Requests per day limit exceeded - too many requests sent."},
            "requests",
            "day",
        ),
        ({"status": 429, "title": "Too Many Requests"}, "requests", "minute"),
        (
            {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited"},
            "requests",
            "minute",
        ),
    ],
)
def test_without_figures_only_the_window_is_known(body: object, unit: str, period: str) -> None:
    [stated] = read(429, body)
    assert (stated.unit, stated.period) == (unit, period)
    assert (stated.limit, stated.remaining) == (None, None)


def test_a_long_wait_makes_it_the_days_window_with_its_end() -> None:
    [stated] = read(429, {"error": "Too many requests"}, {"retry-after": "20000"})
    assert stated.period == "day"
    assert stated.resets_at == NOW + timedelta(seconds=20000)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        pytest.param(
            429,
            {"message": "Rate limit exceeded", "code": "1300"},
            {
                "x-ratelimit-limit-tokens-month": "4000000",
                "x-ratelimit-remaining-tokens-month": "0",
            },
            id="the headers tell which window it is",
        ),
        pytest.param(
            429,
            {
                "error": {
                    "message": "Provider returned error",
                    "code": 429,
                    "metadata": {"raw": "m is temporarily rate-limited upstream."},
                }
            },
            {},
            id="openrouter: the limits of those behind it",
        ),
        pytest.param(
            429, {"error": "you have reached your hourly usage limit"}, {}, id="not counted by us"
        ),
        pytest.param(
            429,
            {"message": "We're experiencing high traffic right now!", "code": "queue_exceeded"},
            {},
            id="cerebras: overload",
        ),
        pytest.param(
            429,
            {"errors": [{"message": "AiError: Capacity temporarily exceeded", "code": 3040}]},
            {},
            id="cloudflare: overload",
        ),
        pytest.param(
            429,
            {"error": {"code": 429, "message": "Resource has been exhausted (e.g. check quota)."}},
            {},
            id="gemini: overload in other words",
        ),
        pytest.param(
            401,
            {"error": {"message": "Rate limit of 5 per 60s exceeded for User", "code": "x"}},
            {},
            id="no quota",
        ),
        pytest.param(500, {"error": "Internal Server Error"}, {}, id="server error"),
    ],
)
def test_nothing_is_learned_from(status: int, body: object, headers: dict[str, str]) -> None:
    assert read(status, body, headers) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("error", "message", "details", "violations", "quotaId", "quotaValue"),
                    *("quotaMetric", "@type", "metadata", "headers", "raw", "code"),
                    "X-RateLimit-Limit",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIGURES = st.from_regex(r"[-\d,.e]{1,30}", fullmatch=True)


@given(status=st.sampled_from([402, 413, 429]), body=JSON)
def test_no_body_makes_it_raise(status: int, body: object) -> None:
    read(status, body)


@given(
    figure=FIGURES,
    used=FIGURES,
    form=st.sampled_from(
        [
            "on tokens per day (TPD): Limit {}, Used {}, Requested 1",
            "Rate limit of {} per {}s exceeded for UserByModelByDay",
            "daily free allocation of {} neurons {}",
            "Trial key, which is limited to {} API calls / minute {}",
        ]
    ),
)
def test_no_figure_in_a_text_makes_no_sense(figure: str, used: str, form: str) -> None:
    failure = Failure(status=429, message=form.format(figure, used))
    for stated in stated_in_failure(failure, "p", NOW):
        if stated.limit is not None:
            assert 0 < stated.limit <= 1e15
            assert stated.remaining is None or 0 <= stated.remaining <= stated.limit
