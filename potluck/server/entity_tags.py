"""Answers that a client who asks again and again need not be sent twice."""

import hashlib
from collections.abc import Set as AbstractSet

from fastapi import Request, Response
from pydantic import BaseModel


def tagged(request: Request, body: BaseModel, *, apart_from: AbstractSet[str]) -> Response:
    """The body as JSON with an ETag; 304 without it, when the client has the same already.

    The fields `apart_from` may differ: a report that says only another time is the same report.
    """
    same = body.model_dump_json(exclude=set(apart_from))
    tag = f'W/"{hashlib.sha256(same.encode()).hexdigest()[:32]}"'
    # What a key may see stays in that browser, and is asked for anew each time.
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_known(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def is_known(request: Request, tag: str) -> bool:
    """Whether the client says that it has what the tag stands for."""
    given = request.headers.get("if-none-match", "")
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return bool(known & {tag.removeprefix("W/"), "*"})
