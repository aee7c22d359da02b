"""Every failure of this door in OpenAI's error shape, with the status its clients act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import TypedDict

from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from potluck.errors import ChainError, ErrorKind, PotluckError, ProviderError
from potluck.server.thread_queue import ThreadBusyError
from potluck.server.turn import RunError

INVALID_REQUEST = "invalid_request_error"
# The openai SDKs would repeat the whole turn on 408, 409, 429 and 5xx.
NO_RETRY = {"x-should-retry": "false"}
# Longer than this the SDKs do not wait; they would retry at once and fail again.
MAX_SDK_WAIT_S = 60

# The kinds that are about quota, and when to ask again where the provider does not tell.
QUOTA_WAITS_S: Mapping[ErrorKind, int] = {
    ErrorKind.CONCURRENCY: 10,
    ErrorKind.MINUTE: 60,
    ErrorKind.DAY: 3600,
    ErrorKind.MONTH: 3600,
    ErrorKind.CREDITS: 3600,
}


class ErrorObject(TypedDict):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """An error response, or a chunk in the middle of a stream."""

    error: ErrorObject


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a kind of provider failure is to a client of this door."""

    status: int
    type: str
    code: str
    param: str | None = None


_MEANINGS: Mapping[ErrorKind, _Meaning] = {
    ErrorKind.CALLER: _Meaning(400, INVALID_REQUEST, "invalid_request"),
    ErrorKind.TOO_LARGE: _Meaning(400, INVALID_REQUEST, "context_length_exceeded", "messages"),
    ErrorKind.CONTENT_FILTER: _Meaning(400, INVALID_REQUEST, "content_filter", "messages"),
    ErrorKind.MODEL_GONE: _Meaning(404, INVALID_REQUEST, "model_not_found", "model"),
    ErrorKind.AUTH: _Meaning(502, "server_error", "provider_key_refused"),
    ErrorKind.BAD_TOOL_CALL: _Meaning(502, "server_error", "bad_tool_call"),
    ErrorKind.EMPTY: _Meaning(502, "server_error", "empty_answer"),
    ErrorKind.NETWORK: _Meaning(502, "server_error", "provider_unreachable"),
    ErrorKind.OVERLOAD: _Meaning(503, "server_error", "provider_overloaded"),
    ErrorKind.TIMEOUT: _Meaning(504, "server_error", "provider_timeout"),
}
# Waiting mends none of these; where quota is used up as well, waiting for that is what helps.
_LASTING = frozenset(
    {
        ErrorKind.AUTH,
        ErrorKind.MODEL_GONE,
        ErrorKind.TOO_LARGE,
        ErrorKind.CONTENT_FILTER,
        ErrorKind.BAD_TOOL_CALL,
        ErrorKind.CALLER,
    }
)
_QUOTA = _Meaning(429, "rate_limit_error", "rate_limit_exceeded")
_UNKNOWN = _Meaning(502, "server_error", "provider_error")
_UNAVAILABLE = _Meaning(503, "server_error", "database_unavailable")
_NOBODY = _Meaning(503, "server_error", "no_model_available")


@dataclass(eq=False)
class ApiError(PotluckError):
    """A failure as a client sees it: status, OpenAI's error object, headers."""

    message: str
    status: int = 400
    type: str = INVALID_REQUEST
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.message)

    @property
    def body(self) -> ErrorBody:
        """What is sent, as a response or as a chunk."""
        return ErrorBody(
            error=ErrorObject(
                message=self.message, type=self.type, param=self.param, code=self.code
            )
        )

    def response(self) -> JSONResponse:
        """The whole response."""
        return JSONResponse(self.body, self.status, headers=dict(self.headers))


def as_api_error(error: PotluckError) -> ApiError:
    """The same failure in the words of this door."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ChainError):
        return _from_chain(error)
    if isinstance(error, ThreadBusyError):
        return ApiError(str(error), 409, code="thread_busy", headers=NO_RETRY)
    if isinstance(error, RunError):
        return _from_run(error)
    return ApiError(str(error), 500, "server_error", code="internal_error", headers=NO_RETRY)


def from_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """What the router says (404, 405, ...) in OpenAI's shape."""
    kind = INVALID_REQUEST if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    codes = {404: "unknown_url", 405: "method_not_allowed", 413: "request_too_large"}
    return ApiError(detail, status, kind, code=codes.get(status), headers=headers or {})


def from_validation(error: ValidationError) -> ApiError:
    """What is wrong in a request, by the name of its parameter."""
    # Of the branches of a union, the one that got furthest is the one that was meant.
    first = max(error.errors(include_url=False), key=lambda wrong: len(wrong["loc"]))
    if first["type"] == "json_invalid":
        return ApiError(f"The body is no JSON that can be read: {first['msg']}.", code="bad_json")
    param = param_of(first["loc"])
    if first["type"].startswith("union_tag"):
        tag = first["ctx"]["discriminator"].strip("'")
        param = f"{param}.{tag}" if param else tag
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return ApiError(_sentence(first, param), param=param, code=code)


def _sentence(wrong: ErrorDetails, param: str | None) -> str:
    if param is None:
        return f"The body is no request that is taken here: {wrong['msg']}."
    if wrong["type"] in ("missing", "union_tag_not_found"):
        return f"Missing required parameter: `{param}`."
    if wrong["type"] == "union_tag_invalid":
        tags = wrong["ctx"]
        return f"Invalid `{param}`: {tags['tag']!r} is none of {tags['expected_tags']}."
    return f"Invalid `{param}`: {wrong['msg'].removeprefix('Value error, ').rstrip('.')}."


def param_of(place: Sequence[str | int]) -> str | None:
    """`messages[0].content` from ("messages", 0, "user", "content"); None for the whole body."""
    name = ""
    for part in place:
        if isinstance(part, int):
            name += f"[{part}]"
        elif part.isidentifier() and (not name or part not in _TAGS):
            name += f".{part}" if name else part
    return name or None


# Names that pydantic adds for the branch of a union; they are no part of the request.
_TAGS = frozenset(
    {"system", "developer", "user", "assistant", "tool", "str", "list", "text", "image_url"}
)


def _from_chain(error: ChainError) -> ApiError:
    meaning = _meaning(error)
    headers: dict[str, str] = {}
    if meaning is _QUOTA:
        out = [attempt for attempt in error.attempts if attempt.kind in QUOTA_WAITS_S]
        headers = _retry_headers(min(map(_wait_s, out)))
    return ApiError(
        str(error),
        meaning.status,
        meaning.type,
        code=meaning.code,
        param=meaning.param,
        headers=headers,
    )


def _meaning(error: ChainError) -> _Meaning:
    kinds = [attempt.kind for attempt in error.attempts]
    if not kinds:
        return _NOBODY
    if error.is_callers:
        return _MEANINGS[ErrorKind.CALLER]
    others = [kind for kind in kinds if kind not in QUOTA_WAITS_S]
    if error.is_quota and _LASTING.issuperset(others):
        return _QUOTA
    return _MEANINGS.get(others[-1], _UNKNOWN)


def _wait_s(attempt: ProviderError) -> int:
    until = attempt.fault.until
    if until is None:
        return QUOTA_WAITS_S[attempt.kind]
    return max(1, ceil((until - datetime.now(UTC)).total_seconds()))


def _retry_headers(wait_s: int) -> dict[str, str]:
    return {"Retry-After": str(wait_s), **(NO_RETRY if wait_s > MAX_SDK_WAIT_S else {})}


def _from_run(error: RunError) -> ApiError:
    if error.back_at is not None:
        wait_s = max(1, ceil((error.back_at - datetime.now(UTC)).total_seconds()))
        headers = _retry_headers(wait_s)
        meaning = _UNAVAILABLE if error.status == HTTPStatus.SERVICE_UNAVAILABLE else _QUOTA
        return ApiError(
            str(error), meaning.status, meaning.type, code=meaning.code, headers=headers
        )
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return ApiError(str(error), error.status, code="run_refused", headers=NO_RETRY)
    return ApiError(str(error), error.status, "server_error", code="run_failed", headers=NO_RETRY)
