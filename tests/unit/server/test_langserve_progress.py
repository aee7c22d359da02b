"""What LangChain's callbacks are told of pages and pictures."""

from typing import Any
from uuid import UUID, uuid4

from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManager

from potluck.server.langserve_progress import Progress
from potluck.server.turn import Happened

PAGE = {"type": "source", "id": "1", "url": "https://e.com", "title": "E", "text": "about"}
PICTURE = {"type": "picture", "id": "1", "path": "a.png", "mime_type": "image/png", "base64": "x"}


class Recorder(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.events: list[tuple[str, Any, UUID]] = []

    async def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **_: Any) -> None:
        self.events.append((name, data, run_id))


async def test_pages_and_pictures_are_custom_events_of_the_run() -> None:
    recorder, run_id = Recorder(), uuid4()
    callbacks = AsyncCallbackManager([recorder], parent_run_id=run_id)
    async with Progress(callbacks, []) as progress:
        for event in (PAGE, PICTURE):
            await progress.take(Happened(event))  # type: ignore[arg-type] # an event
    assert recorder.events == [("source", PAGE, run_id), ("picture", PICTURE, run_id)]
