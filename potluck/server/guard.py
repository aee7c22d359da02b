"""The guard at every door: who asks, how often, and no way in for a page of a foreign site."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from potluck.server.auth_keys import ActingError, Keyring
from potluck.server.auth_rates import Rates
from potluck.server.forwarded_user import ForwardedUserError
from potluck.server.ownership import Caller, asked_by
from potluck.server.request_ids import HEADER, id_of
from potluck.settings import STUDIO_ORIGIN

OPEN_PATHS = frozenset({"/health", "/live", "/ready"})
# Pages without data, into which the key is typed.
KEYLESS_PAGES = frozenset({"/dashboard", "/dashboard/"})
NOBODY = Caller(role="user")
POLICY_VIOLATION = 1008


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
    or one of `origins`. Behind it `ownership.caller` tells who asks.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keyring: Keyring,
        rates: Rates | None = None,
        origins: Iterable[str] = (STUDIO_ORIGIN,),
    ) -> None:
        self.app = app
        self._keyring = keyring
        self._rates = rates or Rates(0)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403 or 429, or pass the request on."""
        if scope["type"] == "lifespan" or scope.get("method") == "OPTIONS":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        found = self._admit(headers, scope["path"])
        if isinstance(found, Caller):
            with asked_by(found):
                await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        found.headers[HEADER] = id_of(headers.get(HEADER))
        await found(scope, receive, send)

    def _admit(self, headers: Headers, path: str) -> Caller | Response:
        """Who asks, or why he may not."""
        if path in OPEN_PATHS:
            return NOBODY
        if not self._keyring.has_keys:
            foreign = self._foreign(headers)
            if foreign is not None:
                return _forbidden(foreign)
        elif path in KEYLESS_PAGES:
            return NOBODY
        return self._identify(headers)

    def _identify(self, headers: Headers) -> Caller | Response:
        try:
            found = self._keyring.caller_of(headers)
        except ActingError as error:
            return _forbidden(str(error))
        except ForwardedUserError as error:
            return _error(401, str(error), "invalid_user_token")
        if found is None:
            return _unauthorized()
        wait_s = 0 if found.is_internal else self._rates.take(found.key)
        return _too_many(wait_s) if wait_s else found

    def _foreign(self, headers: Headers) -> str | None:
        """What is foreign about a request that must come from this machine."""
        host = headers.get("host", "")
        if not is_loopback(_host_in(f"//{host}")):
            return f"Host {host!r} is not this machine. Use 127.0.0.1, or set keys."
        origin = headers.get("origin", "")
        if origin and origin not in self._origins and not is_loopback(_host_in(origin)):
            return f"Pages of {origin} may not use this server: see POTLUCK_CORS_ORIGINS."
        return None


def _host_in(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _unauthorized() -> Response:
    return _error(
        401,
        "A valid key is needed: send `Authorization: Bearer <key>` with a key of POTLUCK_API_KEYS.",
        "invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _forbidden(message: str) -> Response:
    return _error(403, message, "forbidden")


def _too_many(wait_s: int) -> Response:
    return _error(
        429,
        f"This key has made too many requests. Try again in {wait_s} s.",
        "rate_limit_exceeded",
        kind="rate_limit_error",
        headers={"Retry-After": str(wait_s)},
    )


def _error(
    status: int,
    message: str,
    code: str,
    *,
    kind: str = "invalid_request_error",
    headers: dict[str, str] | None = None,
) -> Response:
    """OpenAI's shape, with LangGraph's `detail` beside it: both kinds of client show the text."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": error, "detail": message}, status, headers=headers)
