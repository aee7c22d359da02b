"""A request's body: read in time, and no larger than this door takes."""

import asyncio

from fastapi import Request

from potluck.server.openai.errors import from_status

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 60.0


async def read_body(request: Request) -> bytes:
    """The request's whole body. Raises ApiError 413 or 408."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    limit = f"The body is larger than {MAX_BODY_BYTES} bytes."
                    raise from_status(413, limit, {"Connection": "close"})
    except TimeoutError as error:
        raise from_status(408, "The body did not arrive in time.") from error
    return bytes(body)
