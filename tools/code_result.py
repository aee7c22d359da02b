"""What running code gave, told to the model and, while it runs, to whoever watches."""

import base64
import hashlib

from langgraph.prebuilt import ToolRuntime

from potluck.errors import ToolError
from potluck.events import ToolOutputEvent
from potluck.sandbox.outcome import Image, MadeFile, Outcome, Tell
from tools.workspace import Workspace

IMAGES = "images"
_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}

Block = str | dict[str, object]


def live(runtime: ToolRuntime, name: str) -> Tell:
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
    saved = [(image, _save(image, workspace)) for image in outcome.images]
    text = _text(outcome, [place for _, place in saved])
    if not saved:
        if outcome.error is not None or outcome.stopped is not None:
            raise ToolError(text)
        return text
    return [{"type": "text", "text": text}, *(_block(image) for image, _ in saved)]


def _text(outcome: Outcome, images: list[str]) -> str:
    parts = [outcome.text.rstrip("\n"), (outcome.error or "").strip()]
    if outcome.exit_code:
        parts.append(f"[exit code {outcome.exit_code}]")
    if images:
        parts.append(f"[shown: {', '.join(images)}]")
    made = [file for file in outcome.files if file.path not in images]
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


def _save(image: Image, workspace: Workspace) -> str:
    digest = hashlib.sha256(image.content).hexdigest()[:10]
    path = f"{IMAGES}/{digest}.{_SUFFIXES.get(image.mime_type, 'bin')}"
    try:
        workspace.write(path, image.content)
    except ToolError as error:
        return f"an image that could not be saved: {error}"
    return path


def _block(image: Image) -> dict[str, object]:
    content = base64.b64encode(image.content).decode()
    return {"type": "image", "base64": content, "mime_type": image.mime_type}
