import base64

import pytest
from langchain_core.messages import ToolMessage

from nodes.findings import findings_in
from tools.code_result import MAX_SHOWN_BYTES
from tools.sources import as_sources


def image(content: bytes, **more: object) -> dict[str, object]:
    encoded = base64.b64encode(content).decode()
    return {"type": "image", "base64": encoded, "mime_type": "image/png", **more}


def result(*blocks: str | dict[str, object], artifact: object = None) -> ToolMessage:
    return ToolMessage(content=list(blocks), tool_call_id="call-1", artifact=artifact)


def test_pages_and_pictures_are_events_of_their_call() -> None:
    artifact = as_sources([("https://e.com", "E", "about")])
    found = findings_in(
        result(
            {"type": "text", "text": "done"},
            image(b"png", extras={"path": "images/a.png"}),
            artifact=artifact,
        )
    )
    assert found == [
        {"type": "source", "id": "call-1", "url": "https://e.com", "title": "E", "text": "about"},
        {
            "type": "picture",
            "id": "call-1",
            "path": "images/a.png",
            "mime_type": "image/png",
            "base64": "cG5n",
        },
    ]


def test_a_picture_of_a_tool_that_saves_none_has_no_path() -> None:
    (picture,) = findings_in(result(image(b"png")))
    assert picture["type"] == "picture"
    assert picture["path"] == ""


@pytest.mark.parametrize(
    ("contents", "count"),
    [([b"x"] * 6, 4), ([b"x" * MAX_SHOWN_BYTES, b"y"], 1), ([b"x" * (MAX_SHOWN_BYTES + 9)], 0)],
)
def test_clients_are_sent_no_more_than_they_can_take(contents: list[bytes], count: int) -> None:
    assert len(findings_in(result(*map(image, contents)))) == count


def test_text_alone_shows_nothing() -> None:
    assert findings_in(ToolMessage("text", tool_call_id="1")) == []
    assert findings_in(result("text", {"type": "image", "url": "https://e.com/a.png"})) == []
