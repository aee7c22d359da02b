"""The agent's events as short lines for people."""

import json
import re
from urllib.parse import urlsplit

from potluck.events import (
    ApprovalAskedEvent,
    ApprovalDecidedEvent,
    Event,
    PlanEvent,
    ToolCallEvent,
    is_spent,
)

SHOWN_CHARS = 200
STATUS_CHARS = 80
_BACKTICKS = re.compile("`+")
_DECIDED = {"approve": "Approved", "edit": "Changed and approved", "reject": "Rejected"}
_MARKS = {"todo": " ", "doing": "~", "done": "x", "failed": "!"}


def line_of(event: Event) -> str:
    """One event as text that ends its line; empty when there is nothing new to tell."""
    text = _text_of(event)
    return f"{text}\n" if text else ""


def status_of(event: Event) -> str:
    """What the agent does now, in a few words; empty when the event does not change that."""
    match event["type"]:
        case "step":
            text = event["text"]
        case "plan":
            text = _current_step(event)
        case "tool_call":
            text = _doing(event)
        case "failover":
            text = f"{event['failed']} could not answer: asking another model"
        case "waiting":
            text = f"Waiting for quota until {event['until'][11:16]} UTC"
        case "parked":
            text = f"Waiting for quota until {event['resume_at'][11:16]} UTC"
        case "approval_asked":
            text = "Waiting for your decision"
        case "answer_begun":
            text = "Answering"
        case _:
            text = ""
    return _cut(text, STATUS_CHARS)


def _current_step(event: PlanEvent) -> str:
    steps = event["steps"]
    goals = [
        f"{number} of {len(steps)}: {one['goal']}"
        for number, one in enumerate(steps, start=1)
        if one["status"] == "doing"
    ]
    return f"Step {goals[0]}" if goals else ""


def _doing(event: ToolCallEvent) -> str:
    name, args = event["name"], event["args"]
    match name:
        case "python":
            return "Running Python"
        case "shell":
            return "Running a command"
        case "search_web":
            return f"Searching the web for {args.get('query')}"
        case "fetch_page":
            return f"Reading {_host_in(str(args.get('url')))}"
        case _:
            return f"Using {name}"


def _host_in(url: str) -> str:
    try:
        return urlsplit(url).netloc or url
    except ValueError:
        return url


def _text_of(event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each kind of event
    match event["type"]:
        case "step":
            return event["text"]
        case "plan":
            return _plan(event)
        case "approval_asked":
            return f"Waiting for your decision: {_call(event)}"
        case "approval_decided":
            return f"{_DECIDED[event['decision']]}: {_call(event)}"
        case "tool_call":
            return _call(event)
        case "tool_output":
            return _code(_cut(event["text"]))
        case "tool_result":
            return f"{'→' if event['ok'] else '✗'} {_code(_cut(event['text']))}"
        case "picture":
            return f"Picture: {event['path']}" if event["path"] else ""
        case "failover":
            return f"{event['failed']} could not answer: {_cut(event['reason'])}"
        case "waiting":
            return f"Waiting until {event['until'][11:19]} UTC: {_cut(event['reason'])}"
        case "parked":
            return f"Waiting until {event['resume_at'][11:19]} UTC: {_cut(event['reason'])}"
        case "verdict":
            return f"{event['verdict'].capitalize()}: {_cut(event['reason'])}"
        case "budget":
            return "What this run may spend is used up" if is_spent(event) else ""
        case _:  # shown elsewhere, or of a newer vocabulary than this door's
            return ""


def _call(event: ApprovalAskedEvent | ApprovalDecidedEvent | ToolCallEvent) -> str:
    return _code(f"{event['name']}({_arguments(event['args'])})")


def _plan(event: PlanEvent) -> str:
    steps = [f"- [{_MARKS[s['status']]}] {s['id']}. {_cut(s['goal'])}" for s in event["steps"]]
    return "\n".join(["Plan:", *steps])


def _arguments(args: dict[str, object]) -> str:
    shown = (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in args.items())
    return _cut(", ".join(shown))


def _code(text: str) -> str:
    """A line as Markdown shows it unchanged: clients render what they are told, `*` and all."""
    if not text:
        return ""
    fence = "`" * (max(map(len, _BACKTICKS.findall(text)), default=0) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cut(text: str, most: int = SHOWN_CHARS) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"
