"""Images in a request; addresses are tried in tests/integration, with a site to fetch from."""

import base64
from typing import Any

import pytest

from nodes.sight import IMAGE_TURNS, LEFT_OUT, MAX_IMAGES
from potluck.server.openai.errors import ApiError
from potluck.server.openai.images import has_images, settled_images
from potluck.server.openai.request import ChatRequest
from tools.options import ToolOptions

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8
KINDS = [
    (PNG, "image/png"),
    (b"\xff\xd8\xff\xe0abc", "image/jpeg"),
    (b"GIF89aabc", "image/gif"),
    (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp"),
]


def uri(content: bytes = PNG, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def user(*urls: str) -> dict[str, Any]:
    images = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": "look"}, *images]}


def request(*messages: dict[str, Any]) -> ChatRequest:
    return ChatRequest.model_validate({"model": "potluck", "messages": list(messages)})


async def settled(*messages: dict[str, Any], sees: bool = True) -> list[Any]:
    made = await settled_images(request(*messages), sees=sees, options=ToolOptions())
    return [message.model_dump(exclude_none=True) for message in made.messages]


async def refused(*messages: dict[str, Any], sees: bool = True) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await settled(*messages, sees=sees)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(("content", "kind"), KINDS)
async def test_an_image_is_sent_on_as_what_it_is(content: bytes, kind: str) -> None:
    (message,) = await settled(user(uri(content, "image/x-wrong")))
    assert message["content"][1]["image_url"] == {"url": uri(content, kind), "detail": "low"}
    assert message["content"][0] == {"type": "text", "text": "look"}


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,!!!",
        "data:image/png;base64,",
        uri(b"<svg/>", "image/svg+xml"),
        uri(b"%PDF-1.7", "application/pdf"),
        "data:image/png,raw",
        "file:///etc/passwd",
        "ftp://e.com/a.png",
        "a.png",
        "",
    ],
)
async def test_what_is_no_image_is_refused_by_its_place(url: str) -> None:
    error = await refused(user(uri(), url))
    assert error.param == "messages[0].content[2].image_url.url"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.png", "http://169.254.169.254/latest", "http://localhost:1/a.png"]
)
async def test_nothing_of_this_machines_network_is_fetched(url: str) -> None:
    error = await refused(user(url))
    assert "may not be fetched" in error.message
    assert "data URI" in error.message


async def test_where_nobody_sees_a_new_image_is_refused() -> None:
    error = await refused({"role": "user", "content": "hi"}, user(uri()), sees=False)
    assert error.param == "messages[1].content[1]"
    assert "potluck models" in error.message


async def test_where_nobody_sees_an_earlier_image_is_a_note() -> None:
    first, _ = await settled(user(uri()), {"role": "user", "content": "hi"}, sees=False)
    assert [part["type"] for part in first["content"]] == ["text", "text"]
    assert "cannot see" in first["content"][1]["text"]


async def test_an_old_image_is_a_note_and_not_even_looked_at() -> None:
    later = [{"role": "user", "content": "and?"}] * IMAGE_TURNS
    first, *_ = await settled(user("http://127.0.0.1/gone.png"), *later)
    assert first["content"][1] == {"type": "text", "text": LEFT_OUT}


async def test_more_images_than_anybody_takes_are_refused() -> None:
    assert (await refused(user(*[uri()] * (MAX_IMAGES + 1)))).code == "too_many_images"


def test_only_users_show_images() -> None:
    assert has_images(request(user(uri())))
    assert not has_images(request({"role": "user", "content": "hi"}))
    assert not has_images(request(user()))
