"""Who a request of the LangGraph API belongs to, for the server that carries it.

Under `potluck serve` the guard has found out already, and Aegra gives everything an owner and shows
it to nobody else. LangGraph's development server asks here for both.
"""

from collections.abc import Mapping
from typing import Any

from langgraph_sdk import Auth
from starlette.datastructures import Headers

from potluck import engine
from potluck.server.address import served
from potluck.server.auth_keys import ActingError, Keyring
from potluck.server.forwarded_user import ForwardedUserError
from potluck.server.ownership import Caller, caller

OWNER = "owner"
STORE_PREFIX = "users"
NEEDS_KEY = (
    "A valid key is needed: send `Authorization: Bearer <key>` with a key of POTLUCK_API_KEYS."
)

auth = Auth()


@auth.authenticate
async def authenticate(headers: Mapping[bytes | str, bytes | str]) -> Auth.types.MinimalUserDict:
    """The user, by the guard's finding, else by the key. Raises the SDK's HTTPException."""
    found = caller()
    if found is None and served() is None:
        found = await _by_key(headers)
    if found is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail=NEEDS_KEY)
    return {
        "identity": found.user,
        "display_name": found.user,
        "is_authenticated": True,
        "permissions": [found.role],
    }


@auth.on
async def authorize(
    ctx: Auth.types.AuthContext,
    value: dict[str, Any],  # Any: whatever is asked, as JSON
) -> Auth.types.HandlerResult:
    """What the user may see of LangGraph's development server; Aegra keeps users apart itself."""
    user = ctx.user.identity
    if served() is not None or "admin" in ctx.permissions:
        return None
    if ctx.resource == "store":
        asked = tuple(value.get("namespace") or ())
        own = (STORE_PREFIX, user)
        value["namespace"] = asked if asked[:2] == own else (*own, *asked)
        return None
    if ctx.resource == "assistants" and ctx.action in ("read", "search"):
        # The graph's own assistant belongs to nobody.
        return None
    if ctx.action in ("create", "create_run", "update"):
        # In place: that server keeps the dictionary, not what is put in its stead.
        if value.get("metadata") is None:
            value["metadata"] = {}
        value["metadata"][OWNER] = user
    return {OWNER: user}


async def _by_key(headers: Mapping[bytes | str, bytes | str]) -> Caller | None:
    keyring = Keyring.of((await engine.current()).settings)
    given = Headers({_text(name): _text(value) for name, value in headers.items()})
    try:
        return keyring.caller_of(given)
    except (ActingError, ForwardedUserError) as error:
        raise Auth.exceptions.HTTPException(status_code=403, detail=str(error)) from error


def _text(part: bytes | str) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else part
