"""What a question came to, for programs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from potluck.server.approvals import Approval
from potluck.server.turn import Happened, Part


@dataclass(slots=True)
class Record:
    """Keeps the sources and pictures of the turns that it is shown."""

    _sources: dict[str, str] = field(default_factory=dict)
    _pictures: list[dict[str, str]] = field(default_factory=list)

    def take(self, part: Part) -> None:
        """Keep what this part adds."""
        if not isinstance(part, Happened):
            return
        event = part.event
        if event["type"] == "source":
            self._sources.setdefault(event["url"], event["title"])
        elif event["type"] == "picture":
            self._pictures.append({"path": event["path"], "mime_type": event["mime_type"]})

    def as_json(self, thread_id: str, answer: str, waiting: Sequence[Approval]) -> str:
        """One object: the answer with all that belongs to it, and the calls that wait."""
        told = {
            "thread": thread_id,
            "answer": answer,
            "sources": [{"url": url, "title": title} for url, title in self._sources.items()],
            "pictures": self._pictures,
            "approvals": [
                {"tool": one.name, "arguments": dict(one.args), "reason": one.description}
                for one in waiting
            ],
        }
        return json.dumps(told, ensure_ascii=False, indent=2)
