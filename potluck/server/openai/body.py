"""A request's body: read in time, as plain UTF-8, and no larger than this door takes."""

import asyncio
import re
from collections.abc import Iterable

from fastapi import Request

from potluck.server.openai.errors import ApiError, from_status

# A chat sends its images again with each turn
MAX_BODY_BYTES = 32 * 1024 * 1024
# All but images
MAX_TEXT_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 60.0
_CLOSE = {"Connection": "close"}
# As it stands in JSON, in which some escape every slash
_IMAGE = re.compile(rb'"data:image\\?/[\w.+-]+;base64,[\w+/=\\]*+', re.ASCII)
_BLANK = re.compile(rb"\s*\Z")
_BOM = b"\xef\xbb\xbf"


async def read_body(request: Request) -> bytearray:
    """The request's whole body. Raises ApiError 400, 408, 413 or 415."""
    _refuse_compressed(request.headers.get("content-encoding", "identity"))
    if _told_length(request) > MAX_BODY_BYTES:
        raise _too_large(MAX_BODY_BYTES, "body")
    body = await _read(request)
    if len(body) > MAX_TEXT_BYTES and len(body) - _images_length(body) > MAX_TEXT_BYTES:
        raise _too_large(MAX_TEXT_BYTES, "body without its images")
    if body.startswith(_BOM):
        del body[: len(_BOM)]
    _refuse_unreadable(body)
    return body


def refuse_long_text(body: bytearray, image_urls: Iterable[str]) -> None:
    """Raise ApiError 413 where what is no image of these is longer than texts may be.

    In the body alone, an image cannot be told from a text that looks like one.
    """
    if len(body) <= MAX_TEXT_BYTES:
        return
    images_length = sum(len(url) for url in image_urls if url.startswith("data:"))
    if len(body) - body.count(b"\\/") - images_length > MAX_TEXT_BYTES:
        raise _too_large(MAX_TEXT_BYTES, "body without its images")


async def _read(request: Request) -> bytearray:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large(MAX_BODY_BYTES, "body")
    except TimeoutError as error:
        message = f"The body did not arrive within {BODY_TIMEOUT_S:g} s."
        raise from_status(408, message, _CLOSE) from error
    return body


def _told_length(request: Request) -> int:
    told = request.headers.get("content-length", "")
    # As many digits as are enough: Python refuses thousands of them
    return int(told[:20]) if told.isdecimal() else 0


def _images_length(body: bytearray) -> int:
    return sum(found.end() - found.start() for found in _IMAGE.finditer(body))


def _refuse_compressed(encoding: str) -> None:
    if encoding.strip().lower() not in ("", "identity"):
        raise ApiError(
            f"The body is compressed (Content-Encoding: {encoding[:40]}), which is not taken here: "
            "send it as it is.",
            415,
            code="unsupported_encoding",
            headers=_CLOSE,
        )


def _refuse_unreadable(body: bytearray) -> None:
    if _BLANK.match(body):
        raise ApiError("The body is empty: send a JSON object.", code="bad_json")
    if b"\x00" in body:
        raise _not_utf8("it holds NUL bytes, as UTF-16 and UTF-32 do")
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(f"{error.reason} at byte {error.start}") from error


def _not_utf8(why: str) -> ApiError:
    return ApiError(f"The body is no JSON in UTF-8: {why}.", code="bad_json")


def _too_large(limit_bytes: int, what: str) -> ApiError:
    return from_status(413, f"The {what} is larger than {limit_bytes:,} bytes.", _CLOSE)
