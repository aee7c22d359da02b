"""What a tool's result shows people beside its text: the pages behind it, the pictures in it."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import ToolMessage

from potluck.events import PictureEvent, SourceEvent
from tools.code_result import MAX_SHOWN_BYTES, MAX_SHOWN_IMAGES, PATH_KEY
from tools.sources import sources_in


def findings_in(message: ToolMessage) -> list[SourceEvent | PictureEvent]:
    """Each page and each picture as an event of this call."""
    call_id = message.tool_call_id
    sources = [SourceEvent(type="source", id=call_id, **source) for source in sources_in(message)]
    blocks = [] if isinstance(message.content, str) else message.content
    found = [_picture(block, call_id) for block in blocks if not isinstance(block, str)]
    return [*sources, *_fitting([picture for picture in found if picture is not None])]


def _fitting(pictures: Sequence[PictureEvent]) -> list[PictureEvent]:
    """As many of the pictures as a client is sent; tools of others know no such limit."""
    fitting: list[PictureEvent] = []
    left = MAX_SHOWN_BYTES
    for picture in pictures[:MAX_SHOWN_IMAGES]:
        left -= len(picture["base64"]) * 3 // 4
        if left >= 0:
            fitting.append(picture)
    return fitting


def _picture(block: Mapping[str, object], call_id: str) -> PictureEvent | None:
    content = block.get("base64")
    if block.get("type") != "image" or not isinstance(content, str):
        return None
    extras = block.get("extras")
    return PictureEvent(
        type="picture",
        id=call_id,
        path=str(extras.get(PATH_KEY, "")) if isinstance(extras, Mapping) else "",
        mime_type=str(block.get("mime_type") or "image/png"),
        base64=content,
    )
