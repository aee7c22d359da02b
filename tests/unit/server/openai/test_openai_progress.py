import pytest

from potluck.events import Event, PlanStepView
from potluck.server.openai.progress import SHOWN_CHARS, STATUS_CHARS, line_of, status_of

EVENTS: list[tuple[Event, str]] = [
    ({"type": "step", "node": "triage", "text": "Reading the request"}, "Reading the request\n"),
    (
        {"type": "plan", "steps": [{"id": 1, "goal": "Add", "status": "done"}]},
        "Plan:\n- [x] 1. Add\n",
    ),
    (
        {"type": "tool_call", "id": "c", "name": "f", "args": {"x": 1, "y": "é"}},
        '`f(x=1, y="é")`\n',
    ),
    ({"type": "tool_result", "id": "c", "name": "f", "ok": True, "text": "a\nb"}, "→ `a b`\n"),
    ({"type": "tool_result", "id": "c", "name": "f", "ok": False, "text": "no"}, "✗ `no`\n"),
    ({"type": "failover", "failed": "groq/m", "reason": "busy"}, "groq/m could not answer: busy\n"),
    ({"type": "verdict", "verdict": "retry", "reason": "wrong sum"}, "Retry: wrong sum\n"),
    ({"type": "tool_output", "id": "c", "name": "f", "text": "1\n2\n"}, "`1 2`\n"),
    ({"type": "tool_output", "id": "c", "name": "f", "text": "\n"}, ""),
    (
        {
            "type": "approval_asked",
            "id": "c",
            "name": "f",
            "args": {"x": 1},
            "reason": "It asks.",
        },
        "Waiting for your decision: `f(x=1)`\n",
    ),
    (
        {
            "type": "approval_decided",
            "id": "c",
            "decision": "edit",
            "name": "f",
            "args": {"x": 2},
            "message": "",
        },
        "Changed and approved: `f(x=2)`\n",
    ),
    (
        {
            "type": "waiting",
            "until": "2026-11-21T14:05:09.000+00:00",
            "reason": "No room: groq/m.",
            "waiting_for": ["groq/m"],
        },
        "Waiting until 14:05:09 UTC: No room: groq/m.\n",
    ),
    ({"type": "budget", "calls": 1, "tokens": 9, "seconds": 1.0, "tool_calls": 9}, ""),
    (
        {"type": "budget", "calls": 0, "tokens": 9, "seconds": 1.0, "tool_calls": 9},
        "What this run may spend is used up\n",
    ),
    ({"type": "answer_begun", "id": "m"}, ""),
    ({"type": "answer_ended", "id": "m", "is_final": True, "model": "groq/m"}, ""),
]


@pytest.mark.parametrize(("event", "line"), EVENTS)
def test_tells_each_event_in_a_line(event: Event, line: str) -> None:
    assert line_of(event) == line


STEPS: list[PlanStepView] = [
    {"id": 4, "goal": "Look", "status": "done"},
    {"id": 5, "goal": "Write", "status": "doing"},
    {"id": 6, "goal": "Check", "status": "doing"},
]
STATUSES: list[tuple[Event, str]] = [
    ({"type": "step", "node": "triage", "text": "Reading the request"}, "Reading the request"),
    ({"type": "plan", "steps": STEPS}, "Step 2 of 3: Write"),
    ({"type": "plan", "steps": STEPS[:1]}, ""),
    ({"type": "tool_call", "id": "c", "name": "python", "args": {}}, "Running Python"),
    ({"type": "tool_call", "id": "c", "name": "shell", "args": {}}, "Running a command"),
    (
        {"type": "tool_call", "id": "c", "name": "search_web", "args": {"query": "green  tea"}},
        "Searching the web for green tea",
    ),
    (
        {"type": "tool_call", "id": "c", "name": "fetch_page", "args": {"url": "https://e.com/x"}},
        "Reading e.com",
    ),
    (
        {"type": "tool_call", "id": "c", "name": "fetch_page", "args": {"url": "https://[x"}},
        "Reading https://[x",
    ),
    ({"type": "tool_call", "id": "c", "name": "get_weather", "args": {}}, "Using get_weather"),
    (
        {"type": "failover", "failed": "groq/m", "reason": "busy"},
        "groq/m could not answer: asking another model",
    ),
    (
        {
            "type": "parked",
            "resume_at": "2026-11-21T14:05:09.000+00:00",
            "reason": "",
            "waiting_for": [],
        },
        "Waiting for quota until 14:05 UTC",
    ),
    (
        {
            "type": "waiting",
            "until": "2026-11-21T14:05:09.000+00:00",
            "reason": "",
            "waiting_for": [],
        },
        "Waiting for quota until 14:05 UTC",
    ),
    (
        {"type": "approval_asked", "id": "c", "name": "f", "args": {}, "reason": ""},
        "Waiting for your decision",
    ),
    ({"type": "answer_begun", "id": "m"}, "Answering"),
    ({"type": "answer_ended", "id": "m", "is_final": True, "model": ""}, ""),
    ({"type": "tool_result", "id": "c", "name": "f", "ok": True, "text": "a"}, ""),
    ({"type": "verdict", "verdict": "retry", "reason": "wrong sum"}, ""),
]


@pytest.mark.parametrize(("event", "status"), STATUSES)
def test_says_in_a_few_words_what_is_done_now(event: Event, status: str) -> None:
    assert status_of(event) == status


def test_a_status_is_short() -> None:
    event: Event = {
        "type": "tool_call",
        "id": "c",
        "name": "search_web",
        "args": {"query": "x" * 500},
    }
    assert len(status_of(event)) == STATUS_CHARS + 1


def test_a_picture_is_named_by_its_place_and_a_page_shown_elsewhere() -> None:
    picture: Event = {
        "type": "picture",
        "id": "c",
        "path": "images/a.png",
        "mime_type": "image/png",
        "base64": "cG5n",
    }
    assert line_of(picture) == "Picture: images/a.png\n"
    page: Event = {"type": "source", "id": "c", "url": "https://e.com", "title": "", "text": ""}
    assert line_of(page) == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [("1*2*3", "→ `1*2*3`\n"), ("a `b`", "→ `` a `b` ``\n"), ("", "→ \n")],
)
def test_a_result_is_shown_as_it_is_by_clients_that_render_markdown(text: str, line: str) -> None:
    assert (
        line_of({"type": "tool_result", "id": "c", "name": "f", "ok": True, "text": text}) == line
    )


def test_cuts_what_is_long() -> None:
    shown = line_of(
        {"type": "tool_result", "id": "c", "name": "f", "ok": True, "text": "x" * 10_000}
    )
    assert len(shown) < SHOWN_CHARS + 10


def test_passes_over_what_it_does_not_know() -> None:
    assert line_of({"type": "new_kind"}) == ""  # type: ignore[typeddict-item, misc]
