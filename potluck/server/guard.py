"""The guard at every door: keys, and no way in for a page of a foreign site."""

import hashlib
import hmac
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from potluck.server.request_ids import HEADER, id_of

STUDIO_ORIGIN = "https://smith.langchain.com"
OPEN_PATHS = frozenset({"/health", "/live", "/ready"})


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine and no other."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware: lets through who has a key, or, without keys, who is on this machine.

    Without keys the server listens on loopback only. Then a browser could still be led here by a
    foreign page, so the Host must be a loopback name (DNS rebinding) and the Origin, if any, ours
    or Studio's.
    """

    def __init__(self, app: ASGIApp, *, secrets: Iterable[SecretStr], internal_key: str) -> None:
        self.app = app
        self._digests = [_digest(secret.get_secret_value()) for secret in secrets]
        self._internal = _digest(internal_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers, scope["path"])
        if refusal is not None:
            refusal.headers[HEADER] = id_of(headers.get(HEADER))
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> Response | None:
        if path in OPEN_PATHS:
            return None
        if self._digests:
            return None if self._known(headers) else _unauthorized()
        host = headers.get("host", "")
        if not is_loopback(_host_in(f"//{host}")):
            return _forbidden(f"Host {host!r} is not this machine. Use 127.0.0.1, or set keys.")
        origin = headers.get("origin", "")
        if origin and origin != STUDIO_ORIGIN and not is_loopback(_host_in(origin)):
            return _forbidden(f"Pages of {origin} may not use this server.")
        return None

    def _known(self, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        digest = _digest(given.strip())
        # Every comparison is made, so that the time tells nothing.
        matches = [hmac.compare_digest(digest, known) for known in [*self._digests, self._internal]]
        return any(matches)


def _host_in(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _unauthorized() -> Response:
    return _error(
        401,
        "A valid key is needed: send `Authorization: Bearer <key>` with a key of POTLUCK_API_KEYS.",
        "invalid_api_key",
        {"WWW-Authenticate": "Bearer"},
    )


def _forbidden(message: str) -> Response:
    return _error(403, message, "forbidden", {})


def _error(status: int, message: str, code: str, headers: dict[str, str]) -> Response:
    """OpenAI's shape, with LangGraph's `detail` beside it: both kinds of client show the text."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error, "detail": message}, status, headers=headers)
