"""What happens in a run, as the deltas that show it beside the answer."""

from potluck.events import Event, PictureEvent, SourceEvent
from potluck.server.openai.deltas import Cited, Delta, Pictured, Status, Thought
from potluck.server.openai.progress import line_of, status_of

DONE = "Done"
# What every turn does, and nobody wants to look up afterwards
_PASSING = frozenset({"step", "failover", "waiting", "answer_begun"})


class Narration:
    """Tells the events of one reply; no page, no picture and no status twice in a row."""

    def __init__(self) -> None:
        self._status = ""
        self._is_worth_keeping = False
        self._pages: set[str] = set()
        self._pictures: set[tuple[str, str]] = set()

    def tell(self, event: Event) -> list[Delta]:
        """What this event adds."""
        line = line_of(event)
        status = status_of(event)
        told: list[Delta] = [Thought(line)] if line else []
        if status and status != self._status:
            self._status = status
            told.append(Status(status))
            self._is_worth_keeping |= event["type"] not in _PASSING
        if event["type"] == "source":
            told += self._cited(event)
        elif event["type"] == "picture":
            told += self._pictured(event)
        return told

    def end(self, text: str = DONE) -> list[Delta]:
        """The last status, if there was any before."""
        if not self._status:
            return []
        is_shown = self._is_worth_keeping or text != DONE
        self._status = ""
        return [Status(text if is_shown else "", is_done=True)]

    def _cited(self, event: SourceEvent) -> list[Delta]:
        url = event["url"]
        if url in self._pages:
            return []
        self._pages.add(url)
        return [Cited(url, event["title"] or url, event["text"])]

    def _pictured(self, event: PictureEvent) -> list[Delta]:
        key = (event["id"], event["path"] or event["base64"])
        if key in self._pictures or not event["base64"]:
            return []
        self._pictures.add(key)
        return [Pictured(event["path"], event["mime_type"], event["base64"])]
