"""What a body may be, before anybody looks at what it says."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import Request

from potluck.server.openai import body as body_module
from potluck.server.openai.body import MAX_BODY_BYTES, MAX_TEXT_BYTES, read_body, refuse_long_text
from potluck.server.openai.errors import ApiError

PNG = "data:image/png;base64,"


def asked(*pieces: bytes, headers: dict[str, str] | None = None, hangs: bool = False) -> Request:
    """A request whose body comes in pieces, of which the last may never come."""
    waiting = list(pieces)

    async def receive() -> dict[str, Any]:
        if not waiting and hangs:
            await asyncio.Event().wait()
        piece = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": piece, "more_body": bool(waiting) or hangs}

    listed = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": listed}, receive)


async def refusal_of(request: Request) -> ApiError:
    with pytest.raises(ApiError) as refused:
        await read_body(request)
    return refused.value


async def test_pieces_are_put_together() -> None:
    assert await read_body(asked(b'{"a"', b":", b" 1}")) == b'{"a": 1}'


async def test_a_body_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_module, "BODY_TIMEOUT_S", 0.01)
    refused = await refusal_of(asked(b"{", hangs=True))
    assert refused.status == 408
    assert refused.headers["Connection"] == "close"


@pytest.mark.parametrize("told", [str(MAX_BODY_BYTES + 1), "9" * 5000])
async def test_a_body_that_is_told_to_be_too_large_is_not_read(told: str) -> None:
    refused = await refusal_of(asked(hangs=True, headers={"Content-Length": told}))
    assert refused.status == 413


@pytest.mark.parametrize("told", ["-1", "much", "١٢"])
async def test_a_length_that_is_none_is_not_believed(told: str) -> None:
    request = asked(b"{}")
    request.scope["headers"] = [(b"content-length", told.encode("utf-8"))]
    assert await read_body(request) == b"{}"


@pytest.mark.parametrize("slash", ["/", "\\/"])
async def test_images_do_not_count_as_text(slash: str) -> None:
    url = PNG + "ab/+" * (MAX_TEXT_BYTES // 4)
    body = json.dumps({"url": url}).replace("/", slash).encode()
    assert len(await read_body(asked(body))) == len(body)


@pytest.mark.parametrize(
    "text",
    ["a" * MAX_TEXT_BYTES, PNG + "AAAA" + " word" * (MAX_TEXT_BYTES // 5), "data:text/plain,"],
)
async def test_anything_else_does(text: str) -> None:
    body = json.dumps({"text": text, "more": "a" * MAX_TEXT_BYTES}).encode()
    assert (await refusal_of(asked(body))).status == 413


def test_a_text_that_looks_like_an_image_is_a_text() -> None:
    url = PNG + "A" * MAX_TEXT_BYTES
    body = bytearray(json.dumps({"url": url}).encode())
    refuse_long_text(body, [url])
    with pytest.raises(ApiError) as refused:
        refuse_long_text(body, ["https://example.com/" + "A" * MAX_TEXT_BYTES])
    assert refused.value.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_not_read(encoding: str) -> None:
    refused = await refusal_of(asked(hangs=True, headers={"Content-Encoding": encoding}))
    assert refused.status == 415


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
async def test_an_encoding_that_is_none_is_taken(encoding: str) -> None:
    assert await read_body(asked(b"{}", headers={"Content-Encoding": encoding})) == b"{}"


async def test_a_byte_order_mark_is_left_out() -> None:
    assert await read_body(asked(b"\xef\xbb\xbf{}")) == b"{}"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        ('{"a": "é"}'.encode("latin-1"), "byte 7"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-16"),
    ],
)
async def test_what_is_no_text_is_refused(body: bytes, says: str) -> None:
    refused = await refusal_of(asked(body))
    assert refused.status == 400
    assert says in refused.message
