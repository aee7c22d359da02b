"""Images in a request: checked, fetched where they are addresses, left out where they are old."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing

from nodes.sight import IMAGE_TURNS, LEFT_OUT, MAX_IMAGES
from potluck.errors import ToolError
from potluck.server.openai.deltas import Delta, Reply
from potluck.server.openai.errors import ApiError
from potluck.server.openai.request import (
    ChatRequest,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    UserMessage,
)
from tools.options import ToolOptions
from tools.web_fetch import fetch

MAX_IMAGE_BYTES = 8_000_000
# All addresses of one request together; each has a limit of its own, too.
FETCH_ALL_TIMEOUT_S = 30.0
# What every vision API takes
_SIGNATURES = (
    ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    ("image/gif", re.compile(rb"GIF8[79]a")),
    ("image/webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
)
_DATA_URI = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_UNSEEN = "[an image that this model cannot see]"

ReplyOf = Callable[[ChatRequest], Reply]


def has_images(request: ChatRequest) -> bool:
    """Whether a user's message holds an image."""
    return any(True for message in request.messages for _ in _images_of(message))


def image_urls(request: ChatRequest) -> Iterator[str]:
    """The address or data URI of each image."""
    for message in request.messages:
        for _, part in _images_of(message):
            yield part.image_url.url


async def reply_with_images(
    request: ChatRequest, reply_of: ReplyOf, *, sees: bool, options: ToolOptions
) -> AsyncGenerator[Delta]:
    """The reply to the request once its images are settled. Raises ApiError, as that does."""
    settled = await settled_images(request, sees=sees, options=options)
    async with aclosing(reply_of(settled)) as deltas:
        async for delta in deltas:
            yield delta


async def settled_images(request: ChatRequest, *, sees: bool, options: ToolOptions) -> ChatRequest:
    """The request with each image as a data URI of a kind that models take, or a note instead.

    A note stands for an old one, and, where nobody `sees`, for all but those of the last turn.
    Raises ApiError for an image that is none, that cannot be had, or that nobody would see.
    """
    turns = [i for i, one in enumerate(request.messages) if isinstance(one, UserMessage)]
    recent = frozenset(turns[-IMAGE_TURNS:]) if sees else frozenset()
    if not sees and turns:
        _refuse_unseen(request.messages[turns[-1]], turns[-1])
    _refuse_too_many(request.messages, recent)
    note = LEFT_OUT if sees else _UNSEEN
    try:
        async with asyncio.timeout(FETCH_ALL_TIMEOUT_S):
            messages = [
                await _settled(message, i, options) if i in recent else _noted(message, note)
                for i, message in enumerate(request.messages)
            ]
    except TimeoutError as error:
        raise ApiError(
            f"The images were not there after {FETCH_ALL_TIMEOUT_S:g} s: send them as data URIs.",
            param="messages",
            code="invalid_image_url",
        ) from error
    return request.model_copy(update={"messages": messages})


def _images_of(message: Message) -> Iterator[tuple[int, ImagePart]]:
    if isinstance(message, UserMessage) and not isinstance(message.content, str):
        for place, part in enumerate(message.content):
            if isinstance(part, ImagePart):
                yield place, part


def _refuse_unseen(message: Message, number: int) -> None:
    for place, _ in _images_of(message):
        raise ApiError(
            "No model that may answer can see images. Name one that can, as `<provider>/<model>`, "
            "or add a key for one: see `potluck models`.",
            param=f"messages[{number}].content[{place}]",
            code="unsupported_value",
        )


def _refuse_too_many(messages: Sequence[Message], recent: frozenset[int]) -> None:
    count = sum(1 for number in recent for _ in _images_of(messages[number]))
    if count > MAX_IMAGES:
        raise ApiError(
            f"There are {count} images in the last {IMAGE_TURNS} messages; {MAX_IMAGES} are the "
            "most.",
            param="messages",
            code="too_many_images",
        )


def _noted(message: Message, note: str) -> Message:
    if not isinstance(message, UserMessage) or isinstance(message.content, str):
        return message
    left_out = TextPart(type="text", text=note)
    parts = [left_out if isinstance(part, ImagePart) else part for part in message.content]
    return message.model_copy(update={"content": parts})


async def _settled(message: Message, number: int, options: ToolOptions) -> Message:
    if not isinstance(message, UserMessage) or isinstance(message.content, str):
        return message
    parts: list[TextPart | ImagePart] = list(message.content)
    for place, part in _images_of(message):
        where = f"messages[{number}].content[{place}].image_url.url"
        content = await _content_of(part.image_url.url, where, options)
        image_url = ImageUrl(url=_data_uri(content, where), detail=part.image_url.detail)
        parts[place] = ImagePart(type="image_url", image_url=image_url)
    return message.model_copy(update={"content": parts})


async def _content_of(url: str, where: str, options: ToolOptions) -> bytes:
    found = _DATA_URI.match(url)
    if found is not None:
        try:
            return base64.b64decode(url[found.end() :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise _bad(where, f"its base64 cannot be read: {error}") from error
    if not url.lower().startswith(("https://", "http://")):
        raise _bad(where, "it must be a data URI in base64, or begin with https:// or http://")
    try:
        response = await fetch(url, options, max_bytes=MAX_IMAGE_BYTES)
    except ToolError as error:
        raise _bad(where, f"{error} Send the image itself, as a data URI") from error
    return response.content


def _data_uri(content: bytes, where: str) -> str:
    """By what the content is: what its sender calls it is often wrong, and then refused."""
    kind = next((kind for kind, begins in _SIGNATURES if begins.match(content)), None)
    if kind is None:
        raise _bad(where, "it is no PNG, JPEG, GIF or WebP image")
    if len(content) > MAX_IMAGE_BYTES:
        raise _bad(where, f"the image is larger than {MAX_IMAGE_BYTES:,} bytes")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _bad(where: str, why: str) -> ApiError:
    return ApiError(f"Invalid `{where}`: {why}.", param=where, code="invalid_image_url")
