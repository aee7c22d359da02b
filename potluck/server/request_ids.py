"""Ids of requests, which stand in answers and logs: the client's own where it makes a sane one."""

import re
from uuid import uuid4

from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from starlette.applications import Starlette

HEADER = "X-Request-Id"
_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


def is_sane(request_id: str) -> bool:
    """Whether an id may stand in a log: short, and of letters that break no line."""
    return _SANE.fullmatch(request_id) is not None


def id_of(given: str | None) -> str:
    """The id that the client gave, else a new one."""
    return given if given and is_sane(given) else uuid4().hex


def current_id() -> str:
    """The id of the request that is being answered, or that the run at work came with."""
    return correlation_id.get() or ""


def take_ids(app: Starlette) -> None:
    """Let Aegra's app, which names every request, take more than UUIDs from its clients."""
    for middleware in app.user_middleware:
        if middleware.cls is CorrelationIdMiddleware:  # type: ignore[comparison-overlap] # a class is a factory, too
            middleware.kwargs["validator"] = is_sane
