"""Bodies that are too large, too deep, or in no encoding that JSON has: a clear 4xx, at once."""

import base64
import gzip
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from potluck.simulator.reply import Reply

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SOON_S = 3.0
MB = 1024 * 1024
PATHS = ("/chat/completions", "/responses")
GOOD: dict[str, Any] = {
    "model": "auto",
    "input": "hi",
    "store": False,
    "messages": [{"role": "user", "content": "hi"}],
}
UMLAUT = {**GOOD, "input": "é", "messages": [{"role": "user", "content": "é"}]}


def deep(opening: bytes, closing: bytes, times: int) -> bytes:
    inner = opening * times + b"1" + closing * times
    return json.dumps({**GOOD, "more": 0}).encode().replace(b'"more": 0', b'"more": ' + inner)


def texts(text: Any) -> bytes:
    said = [{"role": "user", "content": text}]
    return json.dumps({**GOOD, "input": text, "messages": said}).encode()


def many(count: int) -> bytes:
    said = [{"role": "user", "content": f"message {number}"} for number in range(count)]
    return json.dumps({**GOOD, "input": said, "messages": said}).encode()


@pytest.fixture
def wire(server: Any) -> Iterator[httpx.Client]:
    server.simulator.script.on(Reply(text="Forty-two."))
    with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as made:
        yield made


def refused(response: httpx.Response, status: int, says: str) -> None:
    assert response.status_code == status, response.text[:500]
    assert response.elapsed.total_seconds() < SOON_S
    error = response.json()["error"]
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param(texts("a" * 5_000_000), 413, "larger than 4,194,304 bytes", id="5 MB of text"),
        pytest.param(b"a" * 40_000_000, 413, "larger than 33,554,432 bytes", id="40 MB"),
        pytest.param(
            texts("data:image/png;base64," + "A" * 5_000_000),
            413,
            "4,194,304",
            id="no image",
        ),
        pytest.param(many(10_000), 400, "at most 4000", id="10,000 messages"),
        pytest.param(deep(b"[", b"]", 10_000), 400, "recursion limit", id="deep lists"),
        pytest.param(deep(b'{"a":', b"}", 10_000), 400, "recursion limit", id="deep objects"),
        pytest.param(b"[" * 4_000_000, 400, "recursion limit", id="never closed"),
        pytest.param(json.dumps(GOOD).encode("utf-16"), 400, "UTF-8", id="UTF-16"),
        pytest.param(json.dumps(GOOD).encode("utf-32-le"), 400, "UTF-8", id="UTF-32"),
        pytest.param(
            json.dumps(UMLAUT, ensure_ascii=False).encode("latin-1"), 400, "UTF-8", id="Latin-1"
        ),
        pytest.param(b"", 400, "The body is empty", id="nothing"),
        pytest.param(b" \n\t" * 100_000, 400, "The body is empty", id="blank"),
        pytest.param(b"model=auto&messages=hi", 400, "no JSON", id="a form"),
        pytest.param(b"[]", 400, "should be an object", id="a list"),
        pytest.param(json.dumps(GOOD).encode() + b"}", 400, "trailing", id="one bracket too many"),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused_at_once(
    wire: httpx.Client, path: str, body: bytes, status: int, says: str
) -> None:
    refused(wire.post(path, content=body), status, says)


@pytest.mark.parametrize("path", PATHS)
def test_a_compressed_body_is_refused_and_never_unpacked(wire: httpx.Client, path: str) -> None:
    bomb = gzip.compress(b"a" * 100_000_000)
    response = wire.post(path, content=bomb, headers={"Content-Encoding": "gzip"})
    refused(response, 415, "compressed")


@pytest.mark.parametrize("path", PATHS)
def test_a_body_without_an_end_is_refused_at_the_limit(wire: httpx.Client, path: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200 * MB:
            sent += MB
            yield b" " * MB

    refused(wire.post(path, content=endless()), 413, "33,554,432")
    assert sent < 100 * MB


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["text/plain", "text/json; charset=latin-1", "nonsense", ""])
def test_what_the_content_type_says_does_not_matter(
    wire: httpx.Client, path: str, kind: str
) -> None:
    body = json.dumps(UMLAUT, ensure_ascii=False).encode()
    assert wire.post(path, content=body, headers={"Content-Type": kind}).is_success


@pytest.mark.parametrize("path", PATHS)
def test_a_byte_order_mark_and_chunks_are_taken(wire: httpx.Client, path: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(UMLAUT, ensure_ascii=False).encode()
    assert wire.post(path, content=iter([body[:9], body[9:40], body[40:]])).is_success


@pytest.mark.parametrize("model", ["auto", "potluck"])
@pytest.mark.parametrize("body", [many(3_999), texts("a " * 2_000_000)], ids=["messages", "text"])
def test_what_is_just_within_the_limits_is_answered(
    wire: httpx.Client, model: str, body: bytes
) -> None:
    asked = {"model": model, "messages": json.loads(body)["messages"]}
    response = wire.post("/chat/completions", json=asked)
    assert response.json()["choices"][0]["message"]["content"] == "Forty-two."


def picture(size_bytes: int) -> str:
    content = b"\x89PNG\r\n\x1a\n" + os.urandom(size_bytes)
    return "data:image/png;base64," + base64.b64encode(content).decode()


def with_images(path: str, model: str, *urls: str) -> bytes:
    if path == "/responses":
        shown: list[Any] = [{"type": "input_image", "image_url": url} for url in urls]
    else:
        shown = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    said = [{"role": "user", "content": shown}]
    field = "input" if path == "/responses" else "messages"
    return json.dumps({"model": model, "store": False, field: said}).encode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("slash", [b"/", b"\\/"], ids=["plain", "escaped"])
def test_images_may_be_larger_than_texts(
    wire: httpx.Client, server: Any, path: str, slash: bytes
) -> None:
    body = with_images(path, "auto", *[picture(5_000_000)] * 4)
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    response = wire.post(path, content=body.replace(b"/", slash))
    assert response.is_success, response.text[:500]
    assert process.memory_info().rss - before < 10 * len(body)
    assert server.simulator.log.last.request.messages[-1].images == 4


def test_the_agent_sees_large_images(wire: httpx.Client, server: Any) -> None:
    body = with_images("/chat/completions", "potluck", *[picture(5_500_000)] * 3)
    response = wire.post("/chat/completions", content=body)
    assert response.is_success, response.text[:500]
    assert server.simulator.log.last.request.messages[-1].images >= 1


def test_the_server_answers_others_while_it_reads_the_largest(wire: httpx.Client) -> None:
    begun = time.monotonic()
    with httpx.Client(base_url=wire.base_url, timeout=10) as other:
        for _ in range(3):
            wire.post("/chat/completions", content=b" " * (32 * MB))
            assert other.get("/models").elapsed.total_seconds() < 1.0
    assert time.monotonic() - begun < 15
