"""A vendor's exception, read: status, headers and body, wherever its class keeps them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from potluck.settings import hide_secrets

_MAX_TEXT = 400
_SECRETS = (
    re.compile(r"\b(?:sk|gsk|hf|nvapi|csk|pk|tgp|xai|AIza)[-_]?[A-Za-z0-9_-]{12,}"),
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]{6,}"),
    re.compile(r"(?i)(?<=[?&]key=)[^\s&\"']+"),
    re.compile(
        r"(?i)((?:api[ _-]?key|token|authorization)[\"']?(?: provided)?\s*[:=]\s*)[^\s,;}]{6,}"
    ),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call said; header names in lower case, `body` the innermost error object."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    message: str = ""
    classes: frozenset[str] = frozenset()

    @property
    def code(self) -> str:
        """The provider's own word for the error: `code`, `type` and `status`, in lower case."""
        return " ".join(str(self.body.get(key, "")) for key in ("code", "type", "status")).lower()


def read_failure(error: BaseException) -> Failure:
    """All that `error` and its causes tell; nothing in it is trusted to be there."""
    links = list(_causes(error))
    body = next((found for link in links if (found := _body(link))), {})
    return Failure(
        status=next((status for link in links if (status := _status(link))), _code_status(body)),
        headers=next((found for link in links if (found := _headers(link))), {}),
        body=body,
        message=redact(_message(body) or str(error) or type(error).__name__),
        classes=frozenset(name.__name__ for link in links for name in type(link).__mro__),
    )


def redact(text: str) -> str:
    """The text in one line without anything that looks like a key, cut to a readable length."""
    text = hide_secrets(text)
    for pattern in _SECRETS:
        text = pattern.sub(lambda m: (m.group(1) if m.re.groups else "") + "[key]", text)
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 6:
        yield error
        seen += 1
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    if type(error).__module__ == "aiohttp.http_exceptions":
        # A broken connection, to which its parser gives a status that nobody sent
        return None
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (error, "code"), (response, "status_code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return None


def _code_status(body: Mapping[str, object]) -> int | None:
    code = body.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _headers(error: BaseException) -> dict[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _body(error: BaseException) -> Mapping[str, object]:
    """The error object in whichever attribute this class keeps the answer's body."""
    for name in ("body", "details", "error"):
        found = _unwrap(getattr(error, name, None))
        if found:
            return found
    answer = _unwrap(_response_text(getattr(error, "response", None)))
    return answer or _unwrap(getattr(error, "server_message", None))


def _response_text(response: object) -> object:
    try:
        return getattr(response, "text", None)
    except RuntimeError:
        # httpx: the body of a streamed answer that nobody has read
        return None


def _unwrap(value: object) -> Mapping[str, object]:
    """The innermost error object of the shapes in use: text, list, `{"error": ...}`."""
    if isinstance(value, str):
        return _unwrap_text(value)
    if isinstance(value, list) and value:
        return _unwrap(value[0])
    if not isinstance(value, Mapping):
        return {}
    for key in ("error", "errors"):
        inner = _unwrap(value.get(key))
        if inner:
            return inner
    return value


def _unwrap_text(text: str) -> Mapping[str, object]:
    if not text.strip():
        return {}
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"message": text}
    return _unwrap(parsed) if isinstance(parsed, dict | list) else {"message": text}


def _message(body: Mapping[str, object]) -> str:
    for key in ("message", "detail", "error_message"):
        value = body.get(key)
        if isinstance(value, str) and value:
            return value
    return json.dumps(body, default=str) if body else ""
