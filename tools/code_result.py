"""What running code gave, told to the model and, while it runs, to whoever watches."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from langgraph.prebuilt import ToolRuntime

from potluck.errors import ToolError
from potluck.events import ToolOutputEvent
from potluck.sandbox.outcome import Image, MadeFile, Outcome, Tell
from tools.workspace import Workspace

IMAGES = "images"
# Beyond these an image is in the workspace alone: every client gets what stands in a result.
MAX_SHOWN_IMAGES = 4
MAX_SHOWN_BYTES = 3_000_000
PATH_KEY = "path"
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}

Block = str | dict[str, object]


def live(runtime: ToolRuntime[object, object], name: str) -> Tell:
    """Puts output on the run's `custom` stream, and on the call's own delta stream."""

    def tell(text: str) -> None:
        call_id = runtime.tool_call_id or ""
        event = ToolOutputEvent(type="tool_output", id=call_id, name=name, text=text)
        runtime.stream_writer(event)
        runtime.emit_output_delta(text)

    return tell


def told(outcome: Outcome, workspace: Workspace) -> str | list[Block]:
    """Text, and images where there are some, which are saved in the workspace, too.

    Raises ToolError with the same text when the code failed or was stopped.
    """
    saved = [_Saved.of(image, workspace) for image in outcome.images]
    shown = _fitting(saved)
    text = _text(outcome, shown, [one for one in saved if one not in shown])
    if not saved:
        if outcome.error is not None or outcome.stopped is not None:
            raise ToolError(text)
        return text
    return [{"type": "text", "text": text}, *map(_block, shown)]


@dataclass(frozen=True, slots=True)
class _Saved:
    """An image, and where it is in the workspace, or why it is not there."""

    image: Image
    path: str
    problem: str = ""

    @classmethod
    def of(cls, image: Image, workspace: Workspace) -> "_Saved":
        digest = hashlib.sha256(image.content).hexdigest()[:10]
        path = f"{IMAGES}/{digest}.{_SUFFIXES.get(image.mime_type, 'bin')}"
        try:
            workspace.write(path, image.content)
        except ToolError as error:
            return cls(image, "", f"an image that could not be saved: {error}")
        return cls(image, path)


def _text(outcome: Outcome, shown: Sequence[_Saved], kept: Sequence[_Saved]) -> str:
    parts = [outcome.text.rstrip("\n"), (outcome.error or "").strip()]
    if outcome.exit_code:
        parts.append(f"[exit code {outcome.exit_code}]")
    if shown:
        parts.append(f"[shown: {_places(shown)}]")
    if kept:
        parts.append(f"[too large or too many to show, only saved: {_places(kept)}]")
    paths = {one.path for one in (*shown, *kept)}
    made = [file for file in outcome.files if file.path not in paths]
    if made:
        parts.append(f"[files made or changed: {', '.join(map(_named, made))}]")
    if outcome.note:
        parts.append(f"[{outcome.note}]")
    if outcome.state_lost:
        parts.append(
            f"[The Python session is new, as {outcome.state_lost}: variables and imports are gone, "
            "files are still there.]"
        )
    return "\n".join(part for part in parts if part) or "[done, without output]"


def _named(file: MadeFile) -> str:
    return f"{file.path} ({file.size_bytes:,} bytes)"


def _places(images: Sequence[_Saved]) -> str:
    return ", ".join(one.path or one.problem for one in images)


def _fitting(saved: Sequence[_Saved]) -> list[_Saved]:
    """The first of the images for which there is room in a result."""
    fitting: list[_Saved] = []
    left = MAX_SHOWN_BYTES
    for one in saved:
        if len(fitting) < MAX_SHOWN_IMAGES and len(one.image.content) <= left:
            left -= len(one.image.content)
            fitting.append(one)
    return fitting


def _block(saved: _Saved) -> Block:
    content = base64.b64encode(saved.image.content).decode()
    block: dict[str, object] = {
        "type": "image",
        "base64": content,
        "mime_type": saved.image.mime_type,
    }
    return block | {"extras": {PATH_KEY: saved.path}} if saved.path else block
