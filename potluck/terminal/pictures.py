"""Pictures in the terminal itself, where it can show them: kitty's protocol and iTerm2's."""

import base64
import binascii
import struct
from pathlib import Path
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import ControlType, Segment

from potluck.events import PictureEvent

Protocol = Literal["kitty", "iterm"]
MOST_BYTES = 4_000_000
KITTY_CHUNK = 4096
PIXELS_PER_COLUMN = 10
_PNG = b"\x89PNG\r\n\x1a\n"


def place_of(event: PictureEvent, folder: Path | None) -> str:
    """Where a picture can be opened: its whole path if it is on this machine."""
    if not event["path"]:
        return event["mime_type"]
    file = (folder / event["path"]).resolve() if folder is not None else None
    if file is not None and folder is not None and file.is_relative_to(folder.resolve()):
        return str(file) if file.is_file() else event["path"]
    return event["path"]


def inline(event: PictureEvent, protocol: Protocol | None) -> "InlinePicture | None":
    """The picture for a terminal of this protocol; None where it cannot be shown."""
    if protocol is None:
        return None
    try:
        data = base64.b64decode(event["base64"], validate=True)
    except (binascii.Error, ValueError):
        return None
    is_png = data.startswith(_PNG) and len(data) >= 24
    if not is_png or len(data) > MOST_BYTES:
        return None
    return InlinePicture(data, protocol)


class InlinePicture:
    """Prints the escape sequences that show a PNG, as wide as it is, at most as the terminal."""

    def __init__(self, data: bytes, protocol: Protocol) -> None:
        self._data = data
        self._protocol = protocol

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """A control sequence, which takes no room of its own in the text."""
        (width,) = struct.unpack(">I", self._data[16:20])
        columns = max(1, min(options.max_width, -(-width // PIXELS_PER_COLUMN)))
        encoded = base64.b64encode(self._data).decode()
        shown = _kitty(encoded, columns) if self._protocol == "kitty" else self._iterm(encoded)
        yield Segment(shown, None, [(ControlType.CARRIAGE_RETURN,)])
        yield Segment.line()

    def _iterm(self, encoded: str) -> str:
        return f"\x1b]1337;File=inline=1;size={len(self._data)};width=auto:{encoded}\x07"


def _kitty(encoded: str, columns: int) -> str:
    parts = [encoded[at : at + KITTY_CHUNK] for at in range(0, len(encoded), KITTY_CHUNK)]
    sequences = []
    for number, part in enumerate(parts):
        first = f"a=T,f=100,q=2,c={columns}," if number == 0 else ""
        more = int(number < len(parts) - 1)
        sequences.append(f"\x1b_G{first}m={more};{part}\x1b\\")
    return "".join(sequences)
