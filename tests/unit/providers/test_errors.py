"""Each error that providers are known to send means the right thing to the chain."""

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from potluck.errors import ErrorKind, ErrorScope, ProviderError, ProviderFault
from potluck.providers.errors import classify

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Response:
    status_code: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class AnsweredError(Exception):
    """An SDK's exception for an answer with an error status."""

    def __init__(self, status: int, body: object, headers: dict[str, str]) -> None:
        super().__init__(f"Error code: {status}")
        self.response = Response(status, json.dumps(body), headers)


def answered(status: int, body: object, headers: dict[str, str] | None = None) -> ProviderError:
    error = AnsweredError(status, body, headers or {})
    return classify(error, provider="p", model="m", now=NOW)


def groq(
    status: int, message: str, code: str = "rate_limit_exceeded", **headers: str
) -> ProviderError:
    body = {"error": {"message": message, "type": "tokens", "code": code}}
    return answered(status, body, headers)


def gemini(*violations: tuple[str, str], retry: str = "38s", status: int = 429) -> ProviderError:
    quota = [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": quota_id,
            "quotaDimensions": {"location": "global", "model": "m"},
            "quotaValue": value,
        }
        for quota_id, value in violations
    ]
    prefix = "type.googleapis.com/google.rpc."
    return answered(
        status,
        {
            "error": {
                "code": status,
                "message": "You exceeded your current quota, please check your plan and billing.",
                "status": "RESOURCE_EXHAUSTED",
                "details": [
                    {"@type": prefix + "Help", "links": []},
                    {"@type": prefix + "QuotaFailure", "violations": quota},
                    {"@type": prefix + "RetryInfo", "retryDelay": retry},
                ],
            }
        },
    )


def openrouter(name: str, reset: datetime) -> ProviderError:
    return answered(
        429,
        {
            "error": {
                "message": f"Rate limit exceeded: {name}. Add 10 credits to unlock 1000 a day",
                "code": 429,
                "metadata": {
                    "headers": {
                        "X-RateLimit-Limit": "50",
                        "X-RateLimit-Remaining": "0",
                        "X-RateLimit-Reset": str(int(reset.timestamp() * 1000)),
                    }
                },
            }
        },
    )


GROQ_LIMIT = (
    "Rate limit reached for model `openai/gpt-oss-120b` in organization `org_x` service tier "
    "`on_demand` on {window}: Limit 8000, Used 6644, Requested 2931. Please try again in {wait}. "
    "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
)


def test_groq_minute_of_tokens() -> None:
    error = groq(429, GROQ_LIMIT.format(window="tokens per minute (TPM)", wait="11.8125s"))
    assert (error.kind, error.fault.scope) == (ErrorKind.MINUTE, ErrorScope.MODEL)
    assert error.fault.until == NOW + timedelta(seconds=11.8125)
    assert error.fault.status == 429


def test_groq_day_of_tokens_is_told_by_the_text_alone() -> None:
    error = groq(429, GROQ_LIMIT.format(window="tokens per day (TPD)", wait="1h34m52.896s"))
    assert error.kind is ErrorKind.DAY
    assert error.fault.until == NOW + timedelta(seconds=5692.896)


def test_gemini_minute_is_back_after_its_retry_delay() -> None:
    error = gemini(("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "15"))
    assert error.kind is ErrorKind.MINUTE
    assert error.fault.until == NOW + timedelta(seconds=38)


@pytest.mark.parametrize("retry", ["32s", "65205s"])
def test_gemini_day_is_back_at_midnight_pacific_whatever_its_retry_delay_says(retry: str) -> None:
    error = gemini(("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "20"), retry=retry)
    assert error.kind is ErrorKind.DAY
    assert error.fault.until == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_gemini_day_counts_when_minute_and_day_are_both_used_up() -> None:
    error = gemini(
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", "250000"),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "20"),
    )
    assert error.kind is ErrorKind.DAY


def test_gemini_limit_0_means_that_the_model_is_not_free() -> None:
    error = gemini(("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "0"))
    assert (error.kind, error.fault.scope) == (ErrorKind.MODEL_GONE, ErrorScope.MODEL)


def test_openrouter_day_is_the_whole_accounts_with_a_reset_in_milliseconds() -> None:
    reset = NOW + timedelta(hours=9)
    error = openrouter("free-models-per-day", reset)
    assert (error.kind, error.fault.scope) == (ErrorKind.DAY, ErrorScope.KEY)
    assert error.fault.until == reset


def test_openrouter_minute() -> None:
    error = openrouter("free-models-per-min", NOW + timedelta(seconds=40))
    assert (error.kind, error.fault.scope) == (ErrorKind.MINUTE, ErrorScope.KEY)
    assert error.fault.until == NOW + timedelta(seconds=40)


def test_a_minute_that_lasts_hours_is_a_day() -> None:
    error = answered(429, {"error": {"message": "Too many requests"}}, {"retry-after": "20000"})
    assert error.kind is ErrorKind.DAY


HF_CREDITS = (
    "You have exceeded your monthly included credits for Inference Providers. "
    "Subscribe to PRO to get 20x more monthly included credits."
)


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        pytest.param(
            413,
            {
                "error": {
                    "message": "Request too large for model `m`: Limit 8000, Requested 10013, "
                    "please reduce your message size",
                    "type": "tokens",
                    "code": "rate_limit_exceeded",
                }
            },
            ErrorKind.TOO_LARGE,
            ErrorScope.REQUEST,
            id="groq: too large, though its code is that of a rate limit",
        ),
        pytest.param(
            400,
            {"error": {"message": "Failed to call a function.", "code": "tool_use_failed"}},
            ErrorKind.BAD_TOOL_CALL,
            ErrorScope.REQUEST,
            id="groq: tool_use_failed",
        ),
        pytest.param(
            400,
            {"error": {"message": "The model `x` has been...", "code": "model_decommissioned"}},
            ErrorKind.MODEL_GONE,
            ErrorScope.MODEL,
            id="groq: decommissioned",
        ),
        pytest.param(
            404,
            {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
            ErrorKind.MODEL_GONE,
            ErrorScope.MODEL,
            id="groq: not found",
        ),
        pytest.param(
            498,
            {"error": {"message": "Flex tier capacity exceeded", "code": "capacity_exceeded"}},
            ErrorKind.OVERLOAD,
            ErrorScope.MODEL,
            id="groq: capacity",
        ),
        pytest.param(
            401,
            {"error": {"message": "Invalid API Key", "code": "invalid_api_key"}},
            ErrorKind.AUTH,
            ErrorScope.KEY,
            id="groq: key",
        ),
        pytest.param(
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                }
            },
            ErrorKind.AUTH,
            ErrorScope.KEY,
            id="gemini: a bad key is a 400",
        ),
        pytest.param(
            503,
            {"error": {"code": 503, "message": "The model is overloaded", "status": "UNAVAILABLE"}},
            ErrorKind.OVERLOAD,
            ErrorScope.MODEL,
            id="gemini: overload",
        ),
        pytest.param(
            404,
            {"error": {"code": 404, "message": "models/x is not found", "status": "NOT_FOUND"}},
            ErrorKind.MODEL_GONE,
            ErrorScope.MODEL,
            id="gemini: retired",
        ),
        pytest.param(
            429,
            {"error": {"message": "slow down", "type": "dynamic_request_limited"}},
            ErrorKind.MINUTE,
            ErrorScope.MODEL,
            id="together: dynamic limit",
        ),
        pytest.param(
            402, {"error": HF_CREDITS}, ErrorKind.CREDITS, ErrorScope.KEY, id="hf: credits"
        ),
        pytest.param(
            400,
            {
                "error": {
                    "message": "The requested model 'x' is not supported by any provider",
                    "code": "model_not_supported",
                }
            },
            ErrorKind.MODEL_GONE,
            ErrorScope.MODEL,
            id="hf: unknown model",
        ),
        pytest.param(
            429,
            {
                "object": "error",
                "message": "Service tier capacity exceeded for this model.",
                "type": "service_tier_capacity_exceeded",
                "code": "3505",
            },
            ErrorKind.OVERLOAD,
            ErrorScope.MODEL,
            id="mistral: capacity, flat body",
        ),
        pytest.param(
            429,
            {"message": "We're experiencing high traffic right now!", "code": "queue_exceeded"},
            ErrorKind.OVERLOAD,
            ErrorScope.MODEL,
            id="cerebras: overload, though its status is that of a rate limit",
        ),
        pytest.param(
            429,
            {"errors": [{"message": "AiError: Capacity temporarily exceeded", "code": 3040}]},
            ErrorKind.OVERLOAD,
            ErrorScope.MODEL,
            id="cloudflare: overload",
        ),
        pytest.param(
            429,
            {
                "errors": [
                    {
                        "message": "you have used up your daily free allocation of 10,000 neurons",
                        "code": 4006,
                    }
                ],
                "success": False,
            },
            ErrorKind.DAY,
            ErrorScope.KEY,
            id="cloudflare: neurons",
        ),
        pytest.param(
            429,
            {"message": "You are using a Trial key, which is limited to 1000 API calls / month."},
            ErrorKind.MONTH,
            ErrorScope.KEY,
            id="cohere: month",
        ),
        pytest.param(
            429,
            {"error": "too many concurrent requests"},
            ErrorKind.CONCURRENCY,
            ErrorScope.KEY,
            id="ollama cloud: concurrency",
        ),
        pytest.param(
            400,
            {"detail": "DEGRADED function cannot be invoked"},
            ErrorKind.OVERLOAD,
            ErrorScope.MODEL,
            id="nvidia: degraded",
        ),
        pytest.param(
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 8192 tokens.",
                    "code": "context_length_exceeded",
                }
            },
            ErrorKind.TOO_LARGE,
            ErrorScope.REQUEST,
            id="openai: context",
        ),
        pytest.param(
            429,
            {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
            ErrorKind.CREDITS,
            ErrorScope.KEY,
            id="openai: no credit is not a rate limit",
        ),
        pytest.param(
            400,
            {"error": {"message": "The response was filtered", "code": "content_filter"}},
            ErrorKind.CONTENT_FILTER,
            ErrorScope.REQUEST,
            id="filter",
        ),
        pytest.param(
            400,
            {"error": {"message": "messages: at least one is required"}},
            ErrorKind.CALLER,
            ErrorScope.REQUEST,
            id="our own mistake",
        ),
        pytest.param(
            400,
            {"error": {"message": "image input is not supported"}},
            ErrorKind.UNKNOWN,
            ErrorScope.REQUEST,
            id="what this model cannot do, another may",
        ),
        pytest.param(
            422,
            {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}]},
            ErrorKind.UNKNOWN,
            ErrorScope.REQUEST,
            id="mistral: a parameter that it does not know",
        ),
        pytest.param(
            400,
            {"error": {"message": 'Invalid JSON payload received. Unknown name "x"'}},
            ErrorKind.UNKNOWN,
            ErrorScope.REQUEST,
            id="gemini: a parameter that it does not know",
        ),
        pytest.param(502, "Bad gateway", ErrorKind.OVERLOAD, ErrorScope.MODEL, id="gateway"),
        pytest.param(504, "", ErrorKind.TIMEOUT, ErrorScope.MODEL, id="gateway timeout"),
        pytest.param(418, {}, ErrorKind.UNKNOWN, ErrorScope.MODEL, id="unheard of"),
    ],
)
def test_an_answer_means(status: int, body: object, kind: ErrorKind, scope: ErrorScope) -> None:
    error = answered(status, body)
    assert (error.kind, error.fault.scope) == (kind, scope)
    assert error.fault.status == status


def test_credits_of_the_month_are_back_with_the_next_one() -> None:
    assert answered(402, {"error": HF_CREDITS}).fault.until == datetime(2026, 12, 1, tzinfo=UTC)


def test_neurons_are_back_at_midnight_utc() -> None:
    body = {"errors": [{"message": "used up your daily free allocation of neurons", "code": 3036}]}
    assert answered(429, body).fault.until == datetime(2026, 11, 22, tzinfo=UTC)


class APIConnectionError(Exception):
    """Named as the SDKs name theirs."""


class ReadTimeout(Exception):  # noqa: N818 # httpx's own name
    """Named as httpx names its own."""


@pytest.mark.parametrize(
    ("error", "kind", "scope"),
    [
        (TimeoutError(), ErrorKind.TIMEOUT, ErrorScope.MODEL),
        (ReadTimeout(), ErrorKind.TIMEOUT, ErrorScope.MODEL),
        (ConnectionError("Failed to connect to Ollama"), ErrorKind.NETWORK, ErrorScope.PROVIDER),
        (APIConnectionError("Connection error."), ErrorKind.NETWORK, ErrorScope.PROVIDER),
        (KeyError("choices"), ErrorKind.UNKNOWN, ErrorScope.MODEL),
    ],
)
def test_a_call_without_an_answer_means(
    error: Exception, kind: ErrorKind, scope: ErrorScope
) -> None:
    found = classify(error, provider="p", model="m", now=NOW)
    assert (found.kind, found.fault.scope, found.fault.until) == (kind, scope, None)


def test_a_connection_error_that_a_timeout_caused_is_a_timeout() -> None:
    error = APIConnectionError("Request timed out.")
    error.__cause__ = ReadTimeout()
    assert classify(error, provider="p", model="m", now=NOW).kind is ErrorKind.TIMEOUT


def test_our_own_errors_pass_unchanged() -> None:
    fault = ProviderFault(ErrorKind.EMPTY, ErrorScope.REQUEST, "x")
    error = ProviderError("p", "m", fault)
    assert classify(error, provider="other", model="other", now=NOW) is error


def test_an_unknown_error_is_logged_with_its_body_but_no_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "sk-" + "a1" * 16
    with caplog.at_level(logging.WARNING):
        error = answered(418, {"error": {"message": f"teapot {secret}"}})
    assert "teapot" in caplog.text
    assert secret not in caplog.text + str(error)
