"""What `potluck chat --json` prints."""

import json
from typing import Any

from potluck.server.approvals import Approval
from potluck.server.turn import Happened
from potluck.terminal.record import Record


def happened(**event: Any) -> Happened:
    return Happened(event)  # type: ignore[arg-type]


def test_an_answer_comes_with_all_that_belongs_to_it() -> None:
    record = Record()
    source = {"type": "source", "id": "1", "text": "leaves"}
    record.take(happened(**source, url="https://e.com/a", title="On tea"))
    record.take(happened(**source, url="https://e.com/a", title="Again"))
    picture = {"type": "picture", "id": "2", "base64": "cG5n", "mime_type": "image/png"}
    record.take(happened(**picture, path="images/a.png"))
    record.take(happened(type="step", node="triage", text="Reading"))
    waiting = (Approval("i", "shell", {"command": "ls"}, "It asks."),)
    assert json.loads(record.as_json("t1", "Grün.", waiting)) == {
        "thread": "t1",
        "answer": "Grün.",
        "sources": [{"url": "https://e.com/a", "title": "On tea"}],
        "pictures": [{"path": "images/a.png", "mime_type": "image/png"}],
        "approvals": [{"tool": "shell", "arguments": {"command": "ls"}, "reason": "It asks."}],
    }
