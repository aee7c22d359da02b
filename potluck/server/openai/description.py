"""How this door's description tells of failures: each status, always in OpenAI's error shape."""

from typing import Any

from potluck.server.openai.errors import ErrorBody

_MEANINGS = {
    400: "The request cannot be read, or asks for what is not offered; `param` says where.",
    401: "No valid key.",
    403: "A page of a foreign site, or a foreign host name.",
    404: "No such model, response or address.",
    405: "Another method is meant; `Allow` says which.",
    408: "The body did not arrive in time.",
    409: "Another turn of the same thread is under way.",
    413: "The body is too large.",
    415: "The body is compressed.",
    429: "The quota is used up; `Retry-After` says until when.",
    500: "A mistake of ours; the server's log tells more.",
    502: "The providers failed.",
    503: "The providers are overloaded, or the database is away; `Retry-After` says until when.",
    504: "The providers did not answer in time.",
}
# Any: FastAPI's own type
FAILURES: dict[int | str, dict[str, Any]] = {
    **{status: {"model": ErrorBody, "description": text} for status, text in _MEANINGS.items()},
    # Without it FastAPI describes a 422 of its own, which is never sent here
    "4XX": {"model": ErrorBody, "description": "The request is refused."},
}
