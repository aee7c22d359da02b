from datetime import UTC, datetime, timedelta

import pytest

from potluck.errors import (
    ChainError,
    ErrorKind,
    ErrorScope,
    PotluckError,
    ProviderError,
    ProviderFault,
)
from potluck.server.openai.errors import as_api_error
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import RunError


def attempt(
    kind: ErrorKind, back_in_s: float | None = None, *, provider: str = "groq"
) -> ProviderError:
    until = datetime.now(UTC) + timedelta(seconds=back_in_s) if back_in_s is not None else None
    return ProviderError(provider, "m", ProviderFault(kind, ErrorScope.MODEL, "because", until))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ErrorKind.MINUTE, 429),
        (ErrorKind.DAY, 429),
        (ErrorKind.MONTH, 429),
        (ErrorKind.CREDITS, 429),
        (ErrorKind.CONCURRENCY, 429),
        (ErrorKind.AUTH, 502),
        (ErrorKind.MODEL_GONE, 404),
        (ErrorKind.TOO_LARGE, 400),
        (ErrorKind.BAD_TOOL_CALL, 502),
        (ErrorKind.CONTENT_FILTER, 400),
        (ErrorKind.EMPTY, 502),
        (ErrorKind.OVERLOAD, 503),
        (ErrorKind.NETWORK, 502),
        (ErrorKind.TIMEOUT, 504),
        (ErrorKind.CALLER, 400),
        (ErrorKind.UNKNOWN, 502),
    ],
)
def test_each_kind_of_failure_has_its_status(kind: ErrorKind, status: int) -> None:
    error = as_api_error(ChainError([attempt(kind)]))
    assert error.status == status
    assert error.code
    assert "groq/m" in error.message


def test_every_kind_is_covered_by_the_test_above() -> None:
    (mark,) = test_each_kind_of_failure_has_its_status.pytestmark  # type: ignore[attr-defined]
    assert {kind for kind, _ in mark.args[1]} == set(ErrorKind)


def test_spent_quota_says_when_to_come_back() -> None:
    error = as_api_error(ChainError([attempt(ErrorKind.DAY, 7200), attempt(ErrorKind.MINUTE, 30)]))
    assert error.status == 429
    assert 29 <= int(error.headers["Retry-After"]) <= 30
    assert "x-should-retry" not in error.headers


def test_a_long_wait_is_not_retried_by_the_sdk() -> None:
    error = as_api_error(ChainError([attempt(ErrorKind.DAY, 7200)]))
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("kinds", "headers"),
    [
        ([ErrorKind.MINUTE], {"Retry-After": "60"}),
        ([ErrorKind.MINUTE, ErrorKind.CONCURRENCY], {"Retry-After": "10"}),
        ([ErrorKind.CREDITS], {"Retry-After": "3600", "x-should-retry": "false"}),
    ],
)
def test_quota_that_nobody_told_the_end_of_has_a_time_to_ask_again(
    kinds: list[ErrorKind], headers: dict[str, str]
) -> None:
    assert as_api_error(ChainError([attempt(kind) for kind in kinds])).headers == headers


def test_a_request_that_two_providers_find_wrong_is_wrong_whatever_else_failed() -> None:
    refusals = [attempt(ErrorKind.CALLER), attempt(ErrorKind.CALLER, provider="together")]
    error = ChainError([attempt(ErrorKind.DAY), *refusals])
    assert as_api_error(error).status == 400
    assert not error.is_quota


def test_one_providers_refusal_of_a_request_does_not_hide_that_others_have_no_quota() -> None:
    error = ChainError([attempt(ErrorKind.DAY), attempt(ErrorKind.CALLER)])
    assert as_api_error(error).status == 429
    assert error.is_quota


def test_a_request_that_one_provider_finds_wrong_is_wrong_when_none_is_out_of_quota() -> None:
    error = ChainError([attempt(ErrorKind.AUTH), attempt(ErrorKind.CALLER)])
    assert as_api_error(error).status == 400
    assert "Mend the request" in str(error)


def test_what_is_not_about_quota_decides() -> None:
    error = as_api_error(ChainError([attempt(ErrorKind.OVERLOAD), attempt(ErrorKind.DAY)]))
    assert error.status == 503


def test_no_model_at_all_is_said() -> None:
    assert as_api_error(ChainError([])).code == "no_model_available"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ThreadBusyError("busy"), 409),
        (RunError("refused", status=422), 422),
        (RunError("failed", status=500), 500),
        (PotluckError("odd"), 500),
    ],
)
def test_the_sdk_does_not_repeat_a_turn_that_has_begun(error: PotluckError, status: int) -> None:
    shown = as_api_error(error)
    assert shown.status == status
    assert shown.headers["x-should-retry"] == "false"
    assert set(shown.body["error"]) == {"message", "type", "param", "code"}


def test_a_run_that_failed_for_want_of_quota_says_when_to_come_back() -> None:
    back_at = datetime.now(UTC) + timedelta(seconds=90)
    error = as_api_error(RunError("all out", status=429, back_at=back_at))
    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert 85 <= int(error.headers["Retry-After"]) <= 90
    assert error.headers["x-should-retry"] == "false"


def test_quota_counts_for_more_than_what_else_went_wrong() -> None:
    failed = ChainError([attempt(ErrorKind.DAY, 30), attempt(ErrorKind.AUTH)])
    error = as_api_error(failed)
    assert error.status == 429
    assert 25 <= int(error.headers["Retry-After"]) <= 30
