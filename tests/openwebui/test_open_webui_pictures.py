"""Pictures and sources in Open WebUI: shown to the model, and shown by it."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from potluck.simulator.reply import Reply
from potluck.simulator.request import ModelRequest
from potluck.simulator.server import SimulatorServer
from tests.openwebui.chat_page import ChatPage
from tests.openwebui.conftest import Site

pytestmark = [pytest.mark.openwebui, pytest.mark.timeout(600)]

Asked = Callable[[], list[ModelRequest]]
# What a model writes that knows that there is no matplotlib: a bar chart, as a PNG by hand.
CHART = """
import struct, zlib
from IPython.display import Image, display

def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

width, height, bars = 320, 200, [1, 4, 9, 16, 25]
rows = b"".join(
    b"\\0" + b"".join(
        b"\\x30\\x60\\xc0" if x % 64 > 12 and height - y < bars[x // 64] * 7 else b"\\xff\\xff\\xff"
        for x in range(width)
    )
    for y in range(height)
)
header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", header)
png += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
display(Image(data=png))
"""


def red_square(path: Path) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 96, 96, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\xe0\x20\x20" * 96) * 96)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def test_the_model_sees_a_picture_that_the_user_sends(
    chat: ChatPage, models: SimulatorServer, asked: Asked, tmp_path: Path
) -> None:
    models.script.on(Reply("A red square."), text="what is this")
    models.script.on(Reply("You are welcome."), text="thanks")

    chat.attach(red_square(tmp_path / "square.png"))
    chat.ask("What is this?", "A red square.")
    (request,) = asked()
    question = request.messages[-1]
    assert question.images == 1
    assert question.text == "What is this?"
    chat.ask("thanks", "You are welcome.")


def test_a_picture_that_python_shows_is_shown(chat: ChatPage, models: SimulatorServer) -> None:
    models.script.on(Reply.call("python", code=CHART), results=0, text="plot")
    models.script.on(Reply("The squares of 1 to 5."), results=1)

    chat.ask("Please plot some squares", "The squares of 1 to 5.")
    shown = chat.answers.last.locator("img[src*='/api/v1/files/'], img[src^='data:image/png']")
    expect(shown).to_have_count(1)
    expect(shown).to_be_visible()
    assert shown.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [320, 200]

    chat.page.reload()
    expect(shown).to_be_visible(timeout=30_000)


def test_pages_that_were_read_are_listed_as_sources(
    chat: ChatPage, models: SimulatorServer, site: Site
) -> None:
    models.script.on(Reply.call("search_web", query="tea"), tool="search_web", results=0)
    models.script.on(Reply.call("fetch_page", url=f"{site.url}/tea"), results=1)
    models.script.on(Reply("Tea takes some minutes."), results=2)

    chat.ask("How long is tea steeped?", "Tea takes some minutes.")
    sources = chat.answers.last.get_by_role("button", name="1 Source")
    sources.click()
    expect(chat.answers.last.get_by_role("button", name="On tea")).to_be_visible()
    assert "search_web" in chat.thoughts()
