"""A vendor's exception is read wherever it keeps its facts, and no key leaks from it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potluck.providers.failures import read_failure, redact


class Response:
    def __init__(self, status: int, text: str = "", **headers: str) -> None:
        self.status_code = status
        self.text = text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Unread(Response):
    @property
    def text(self) -> str:
        raise RuntimeError("Attempted to access streaming response content")

    @text.setter
    def text(self, value: str) -> None:
        pass


class VendorError(Exception):
    def __init__(self, message: str = "", **facts: object) -> None:
        super().__init__(message)
        self.__dict__.update(facts)


def test_reads_status_headers_and_body_of_the_exception_itself() -> None:
    error = VendorError(
        "Error code: 429",
        status_code=429,
        response=Response(429, Retry_After="7"),
        body={"error": {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded"}},
    )
    failure = read_failure(error)
    assert failure.status == 429
    assert failure.headers == {"retry-after": "7"}
    assert failure.message == "slow down"
    assert failure.code == "rate_limit_exceeded tokens "


def test_reads_what_only_the_cause_knows() -> None:
    error = VendorError("Error calling model")
    error.__cause__ = VendorError(
        code=503, details={"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    )
    failure = read_failure(error)
    assert (failure.status, failure.message) == (503, "overloaded")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"error": "used up"}),
        json.dumps([{"error": {"message": "used up"}}]),
        json.dumps({"message": "used up"}),
        json.dumps({"detail": "used up"}),
        json.dumps({"success": False, "errors": [{"code": 4006, "message": "used up"}]}),
        "used up",
    ],
)
def test_finds_the_message_in_every_shape_of_body(text: str) -> None:
    assert read_failure(VendorError(response=Response(402, text))).message == "used up"


def test_an_error_in_mid_stream_has_its_status_in_the_body() -> None:
    failure = read_failure(VendorError("x", body={"code": 502, "message": "Provider disconnected"}))
    assert (failure.status, failure.message) == (502, "Provider disconnected")


def test_a_broken_connection_has_no_status_though_its_parser_gives_it_one() -> None:
    from aiohttp import ClientPayloadError  # noqa: PLC0415 # one of many vendors' libraries
    from aiohttp.http_exceptions import TransferEncodingError  # noqa: PLC0415 # likewise

    error = ClientPayloadError("Response payload is not completed")
    error.__cause__ = TransferEncodingError(message="Not enough data")
    assert error.__cause__.code == 400
    assert read_failure(error).status is None


def test_a_body_that_nobody_has_read_is_passed_over() -> None:
    failure = read_failure(VendorError("402 Client Error", response=Unread(402)))
    assert (failure.status, failure.message) == (402, "402 Client Error")


def test_an_exception_without_words_is_called_by_its_class() -> None:
    assert read_failure(VendorError()).message == "VendorError"


def test_a_loop_of_causes_ends() -> None:
    first, second = VendorError("a"), VendorError("b")
    first.__cause__, second.__cause__ = second, first
    assert read_failure(first).message == "a"


SECRET = "AbCdEf0123456789AbCdEf0123456789"  # noqa: S105 # made up


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: sk-{SECRET}. You can find",
        f"Invalid key gsk_{SECRET}",
        f"POST https://host/v1beta/models/m:generateContent?key={SECRET} failed",
        f"headers: Authorization: Bearer {SECRET}",
        f"token hf_{SECRET} is not allowed",
        f"AIza{SECRET} is not valid",
        f"api_key={SECRET}",
        f'{{"api_key": "{SECRET}"}}',
        f"nvapi-{SECRET}",
    ],
)
def test_no_key_is_left_in_a_text(text: str) -> None:
    assert SECRET not in redact(text)
    assert "[key]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached for model `openai/gpt-oss-120b` on tokens per minute (TPM): Limit 8000",
        "models/gemini-1.5-flash is not found for API version v1beta",
        "API key not valid",
    ],
)
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=2000))
def test_a_text_is_one_short_line(text: str) -> None:
    redacted = redact(text)
    assert "\n" not in redacted
    assert len(redacted) <= 410
