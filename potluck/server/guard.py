"""The guard at every door: who asks, how often, and no way in for a page of a foreign site."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import quote

import structlog
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from potluck.server.auth_attempts import Attempts
from potluck.server.auth_keys import ActingError, GivenKey, Keyring
from potluck.server.auth_rates import Buckets, Rates
from potluck.server.forwarded_user import ForwardedUserError
from potluck.server.ownership import Caller, asked_by
from potluck.server.request_ids import HEADER, id_of
from potluck.settings import STUDIO_ORIGIN

OPEN_PATHS = frozenset({"/health", "/live", "/ready"})
# Pages without data, into which the key is typed.
KEYLESS_PAGES = frozenset({"/dashboard", "/dashboard/"})
METRICS_PATH = "/metrics"
NOBODY = Caller(role="user")
POLICY_VIOLATION = 1008
_PLACE = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\s:@/?#\[\]]+)(:\d+)?", re.ASCII)

logger = structlog.get_logger("potluck.guard")


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
        open_paths: Iterable[str] = (),
    ) -> None:
        self.app = app
        self._keyring = keyring
        self._rates = rates or Buckets(0)
        self._attempts = Attempts()
        self._open_paths = OPEN_PATHS.union(open_paths)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403 or 429, or pass the request on."""
        if scope["type"] == "lifespan":
            try:
                await self.app(scope, receive, send)
            finally:
                await self._rates.aclose()
            return
        headers = Headers(scope=scope)
        if _is_preflight(scope, headers):
            await self.app(scope, receive, send)
            return
        found = await self._admit(headers, scope)
        if isinstance(found, Caller):
            with asked_by(found):
                await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        found.headers[HEADER] = request_id = id_of(headers.get(HEADER))
        self._let_pages_read(found, headers.get("origin", ""))
        _log(scope, found.status_code, request_id)
        await found(scope, receive, send)

    async def _admit(self, headers: Headers, scope: Scope) -> Caller | Response:
        """Who asks, or why he may not."""
        path = scope["path"]
        if path in self._open_paths:
            return NOBODY
        if not self._keyring.has_keys:
            foreign = self._foreign(headers)
            if foreign is not None:
                return forbidden(foreign)
        elif path in KEYLESS_PAGES:
            return NOBODY
        found = await self._identify(headers, _address(scope))
        if isinstance(found, Caller) and found.role == "metrics" and path != METRICS_PATH:
            return forbidden(f"A key with the role metrics may read {METRICS_PATH} and no more.")
        return found

    async def _identify(self, headers: Headers, address: str) -> Caller | Response:
        wait_s = self._tries(GivenKey.of(headers), address)
        if wait_s:
            return _too_many_wrong(wait_s)
        try:
            found = self._keyring.caller_of(headers)
        except ActingError as error:
            return forbidden(str(error))
        except ForwardedUserError as error:
            return _error(401, str(error), "invalid_user_token")
        if found is None:
            return _unauthorized()
        wait_s = 0 if found.is_internal else await self._rates.take(found.key)
        return _too_many(wait_s) if wait_s else found

    def _tries(self, given: GivenKey, address: str) -> int:
        """After how many seconds a key may be tried again from there; 0: now."""
        if not (self._keyring.has_keys and given.is_there):
            return 0
        holder = self._keyring.holder_of(given)
        if holder is not None and holder.is_internal:
            return 0
        return self._attempts.look(address, given.digest, is_right=holder is not None)

    def _let_pages_read(self, refusal: Response, origin: str) -> None:
        """A page that may use this server is told why it was refused."""
        if self._is_welcome(origin):
            refusal.headers["Access-Control-Allow-Origin"] = origin
            refusal.headers["Access-Control-Expose-Headers"] = f"Retry-After, {HEADER}"
            refusal.headers["Vary"] = "Origin"

    def _is_welcome(self, origin: str) -> bool:
        return origin in self._origins or is_loopback(_host_in(origin.partition("://")[2]))

    def _foreign(self, headers: Headers) -> str | None:
        """What is foreign about a request that must come from this machine."""
        host = headers.get("host", "")
        if not is_loopback(_host_in(host)):
            return f"Host {host!r} is not this machine. Use 127.0.0.1, or set keys."
        origin = headers.get("origin", "")
        if origin and not self._is_welcome(origin):
            return f"Pages of {origin} may not use this server: see POTLUCK_CORS_ORIGINS."
        if not origin and _is_part_of_foreign_page(headers):
            return "Pages of other sites may not use this server: see POTLUCK_CORS_ORIGINS."
        return None


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    """Whether a browser asks, before it asks: what it gets holds nothing of anybody's."""
    is_options = scope.get("method") == "OPTIONS"
    return is_options and "origin" in headers and "access-control-request-method" in headers


def _is_part_of_foreign_page(headers: Headers) -> bool:
    """Whether a tag such as `img` asks for it, which tells no Origin. Links may lead here."""
    if headers.get("sec-fetch-site") != "cross-site":
        return False
    is_link = headers.get("sec-fetch-mode") == "navigate"
    return not (is_link and headers.get("sec-fetch-dest") == "document")


def _address(scope: Scope) -> str:
    host, _ = scope.get("client") or ("", 0)
    return str(host)


def _log(scope: Scope, status: int, request_id: str) -> None:
    """A line as for other requests: nothing behind the guard writes one."""
    logger.info(
        "request",
        method=scope["method"],
        path=quote(scope["path"]),
        status=status,
        client=_address(scope),
        request_id=request_id,
    )


def _host_in(place: str) -> str:
    """The host of `host` or `host:port`, as a Host names it; empty when it is none."""
    found = _PLACE.fullmatch(place)
    return found["host"].strip("[]").lower() if found else ""


def _unauthorized() -> Response:
    return _error(
        401,
        "A valid key is needed: send `Authorization: Bearer <key>` with a key of POTLUCK_API_KEYS.",
        "invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def forbidden(message: str) -> Response:
    """The refusal of who is known, or does not come from here."""
    return _error(403, message, "forbidden")


def _too_many(wait_s: int) -> Response:
    return _limited(wait_s, f"This key has made too many requests. Try again in {wait_s} s.")


def _too_many_wrong(wait_s: int) -> Response:
    return _limited(
        wait_s,
        "Too many wrong keys came from your address, so this one was not looked at. "
        f"Try again in {wait_s} s, with a key of POTLUCK_API_KEYS.",
    )


def _limited(wait_s: int, text: str) -> Response:
    return _error(
        429,
        text,
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
