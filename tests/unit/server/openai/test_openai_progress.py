import pytest

from potluck.events import Event
from potluck.server.openai.progress import SHOWN_CHARS, line_of

EVENTS: list[tuple[Event, str]] = [
    ({"type": "step", "node": "triage", "text": "Reading the request"}, "Reading the request\n"),
    (
        {"type": "plan", "steps": [{"id": 1, "goal": "Add", "status": "done"}]},
        "Plan:\n- [x] 1. Add\n",
    ),
    (
        {"type": "tool_call", "id": "c", "name": "f", "args": {"x": 1, "y": "é"}},
        'f(x=1, y="é")\n',
    ),
    ({"type": "tool_result", "id": "c", "name": "f", "ok": True, "text": "a\nb"}, "→ a b\n"),
    ({"type": "tool_result", "id": "c", "name": "f", "ok": False, "text": "no"}, "✗ no\n"),
    ({"type": "failover", "failed": "groq/m", "reason": "busy"}, "groq/m could not answer: busy\n"),
    ({"type": "verdict", "verdict": "retry", "reason": "wrong sum"}, "Retry: wrong sum\n"),
]


@pytest.mark.parametrize(("event", "line"), EVENTS)
def test_tells_each_event_in_a_line(event: Event, line: str) -> None:
    assert line_of(event) == line


def test_cuts_what_is_long() -> None:
    shown = line_of(
        {"type": "tool_result", "id": "c", "name": "f", "ok": True, "text": "x" * 10_000}
    )
    assert len(shown) < SHOWN_CHARS + 10


def test_passes_over_what_it_does_not_know() -> None:
    assert line_of({"type": "new_kind"}) == ""  # type: ignore[typeddict-item, misc]
