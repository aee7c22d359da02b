"""One cell as the kernel tells of it: what was printed, shown and raised."""

import base64
import binascii
import re
from collections.abc import Mapping

from potluck.sandbox.limits import Limits
from potluck.sandbox.outcome import Image
from potluck.sandbox.output import Output
from potluck.sandbox.wire import Message

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MAX_TRACEBACK_CHARS = 8_000
_MESSAGE_CHARS = 100


class Cell:
    """Takes in the messages of one cell."""

    def __init__(self, limits: Limits, output: Output) -> None:
        self.error: str | None = None
        self.images: list[Image] = []
        self.images_left_out = 0
        self.messages = 0
        self.output = output
        self._limits = limits

    def take(self, message: Message) -> None:
        """Keep what the message tells."""
        self.messages += 1
        self.output.notice(_MESSAGE_CHARS)
        content = message.content
        match message.kind:
            case "stream":
                self.output.add(_text(content.get("text")))
            case "display_data" | "execute_result":
                data = content.get("data")
                if isinstance(data, Mapping):
                    self._show(data)
            case "error":
                self.error = _traceback(content)

    def _show(self, data: Mapping[str, object]) -> None:
        kind = next((kind for kind in _IMAGES if isinstance(data.get(kind), str)), None)
        if kind is None:
            shown = data.get("text/plain", data.get("text/markdown"))
            self.output.add(f"{_text(shown)}\n" if shown else "")
            return
        try:
            content = base64.b64decode(_text(data[kind]))
        except (binascii.Error, ValueError):
            return
        if len(self.images) < self._limits.images and len(content) <= self._limits.image_bytes:
            self.images.append(Image(kind, content))
        else:
            self.images_left_out += 1


def _text(value: object) -> str:
    return _ANSI.sub("", value) if isinstance(value, str) else ""


def _traceback(content: Mapping[str, object]) -> str:
    lines = content.get("traceback")
    text = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    text = _ANSI.sub("", text).strip()
    if not text:
        text = f"{content.get('ename', 'Error')}: {content.get('evalue', '')}"
    if len(text) <= MAX_TRACEBACK_CHARS:
        return text
    half = MAX_TRACEBACK_CHARS // 2
    return f"{text[:half]}\n[cut]\n{text[-half:]}"
